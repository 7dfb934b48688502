"""What one of a run's test processes starts and all of them use, as a Kafka: the first to need it, the last to end it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

RUN_VARIABLE = "PYTEST_XDIST_TESTRUNUID"
"""The same in all processes of pytest-xdist that belong to one run; it is not set in a run of one process."""


@contextmanager
def shared_by_processes(
    name: str, folders: pytest.TempPathFactory, service: AbstractContextManager[str]
) -> Iterator[str]:
    """The address that `service` gives, where this process is the first of its run; else the one that it gave there.

    The first process waits at the end until the others have left. Locks of files tell it: they end with a process,
    however it ends.
    """
    run = os.environ.get(RUN_VARIABLE)
    if run is None:
        with service as address:
            yield address
        return
    folder = folders.getbasetemp().parent  # of all processes of the run
    told = folder / f"{name}-{run}"
    with ExitStack() as opened:
        beginning = opened.enter_context(told.with_suffix(".begin").open("w"))
        users = opened.enter_context(told.with_suffix(".users").open("w"))
        fcntl.flock(beginning, fcntl.LOCK_EX)
        if told.exists():
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(beginning, fcntl.LOCK_UN)
            yield told.read_text()
            return
        with service as address:
            told.write_text(address)
            fcntl.flock(beginning, fcntl.LOCK_UN)
            try:
                yield address
            finally:
                fcntl.flock(beginning, fcntl.LOCK_EX)  # who comes now begins anew, later
                told.unlink()
                fcntl.flock(users, fcntl.LOCK_EX)

"""Ends the process when a call that promised to return does not: some of librdkafka's forget their timeouts.

It is a thread that only counts its own looks: a process that was stopped for a while is not blamed for the time that it
did not run. What it ends, a supervisor starts again; Kafka aborts what was open.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Self

STUCK = 70
"""The exit code of a process that the watchdog ended (EX_SOFTWARE of sysexits.h)."""


class Watchdog:
    """`with Watchdog() as dog: with dog.watch("commit", limit_s=30): ...`."""

    def __init__(self, bite: Callable[[str], None] | None = None, every_s: float = 0.5) -> None:
        self._bite = bite or _end_process
        self._every_s = every_s
        self._watched: tuple[str, int] | None = None
        """What must end, and at which look it should have."""
        self._looks = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @contextlib.contextmanager
    def watch(self, call: str, limit_s: float) -> Iterator[None]:
        """While this is open, `call` must end within `limit_s` seconds; an inner one stands for itself."""
        outer = self._watched
        due = self._looks + math.ceil(limit_s / self._every_s)
        self._watched = (f"{call} did not return within {limit_s:.0f} s", due)
        try:
            yield
        finally:
            self._watched = outer

    def _look(self) -> None:
        while not self._done.wait(self._every_s):
            self._looks += 1
            watched = self._watched
            if watched is not None and self._looks > watched[1]:
                self._bite(watched[0])
                return


def _end_process(why: str) -> None:
    sys.stderr.write(f"taskstream worker: {why}; ending so that a supervisor can start it again\n")
    sys.stderr.flush()
    os._exit(STUCK)

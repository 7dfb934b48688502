"""What every test may ask for; and what is done once, before several processes run tests side by side."""

from __future__ import annotations

import signal

import pytest

from taskstream.consumer.worker.jit_warmup import warm_up_jit
from taskstream.schemas.ids import TableIds

pytest_plugins = ["tests.brokers", "tests.chromium"]


def pytest_configure() -> None:
    """A shell's background jobs are born ignoring SIGINT, and so would be every process that a test starts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the loops while nobody waits for them: each process that came first would do it for itself."""
    if not hasattr(session.config, "workerinput"):  # pytest-xdist's word for: this process runs tests for another
        warm_up_jit(TableIds())

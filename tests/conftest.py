"""What every test may ask for; and what is done once, before several processes run tests side by side."""

from __future__ import annotations

import pytest

from taskstream.consumer.worker.jit_warmup import warm_up_jit
from taskstream.schemas.ids import TableIds

pytest_plugins = ["tests.run.guard", "tests.run.selection", "tests.brokers", "tests.chromium"]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the loops while nobody waits for them: each process that came first would do it for itself."""
    if not hasattr(session.config, "workerinput"):  # pytest-xdist's word for: this process runs tests for another
        warm_up_jit(TableIds())

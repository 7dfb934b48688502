"""The fixtures of all tests, and the setup that runs once, before several processes run tests in parallel."""

from __future__ import annotations

import pytest

from taskstream.consumer.worker.jit_warmup import warm_up_jit
from taskstream.schemas.ids import TableIds

pytest_plugins = ["tests.run.guard", "tests.run.selection", "tests.brokers", "tests.chromium"]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the numba loops before the parallel processes start, so that they do not all compile them."""
    if not hasattr(session.config, "workerinput"):  # present only in pytest-xdist's worker processes
        warm_up_jit(TableIds())

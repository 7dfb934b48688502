"""The fixtures of all tests, and the setup that runs once, before several processes run tests in parallel."""

from __future__ import annotations

import gc
import os

import pytest

from taskstream.consumer.worker.jit_warmup import warm_up_jit
from taskstream.schemas.ids import TableIds

# A broker of a few minutes' life repays no optimising compiler: it starts with half the CPU time without.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
gc.disable()  # until the tests are collected: that makes no garbage worth a look

pytest_plugins = [
    "tests.run.guard",
    "tests.run.last_words",
    "tests.run.selection",
    "tests.examples",
    "tests.brokers",
    "tests.programs",
    "tests.chromium",
    "tests.foreign.programs",
]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the numba loops before the parallel processes start, so that they do not all compile them."""
    if not hasattr(session.config, "workerinput"):  # present only in pytest-xdist's worker processes
        warm_up_jit(TableIds())


def pytest_collection_finish() -> None:
    """Freeze the thousands of tests: no garbage collection while they run looks into them."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """What libraries look for at the exit must be found gone."""
    gc.unfreeze()

"""What every test may ask for; and what is made once, before several processes run tests side by side."""

from __future__ import annotations

import pytest

from consumer.warm import warm_up
from schemas.ids import TableIds

pytest_plugins = ["tests.brokers", "tests.chromium"]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the loops while nobody waits for them: each process that came first would do it for itself."""
    if not hasattr(session.config, "workerinput"):  # pytest-xdist's word for: this process runs tests for another
        warm_up(TableIds())

"""A pytest plugin for the guard's own tests: in its third test, each worker says that it is there, and waits to be ended."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

FOLDER_VARIABLE = "TASKSTREAM_TESTS_HOLD"
"""Names the folder in which each worker makes a file of its name."""
_called: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    yield
    _called.append(item.nodeid)
    if len(_called) == 3:
        (Path(os.environ[FOLDER_VARIABLE]) / os.environ["PYTEST_XDIST_WORKER"]).touch()
        while True:
            time.sleep(0.05)

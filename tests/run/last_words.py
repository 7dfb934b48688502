"""A pytest plugin: a failed test shows the last words of the processes that it started."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

LINES = 12
"""Of each log. A run's output is often read from its end, and a test can have a dozen processes."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and folder is not None:
        report.sections.extend((f"last words of {name}", text) for name, text in last_words(folder).items())
    return report


def last_words(folder: Path) -> dict[str, str]:
    """The last lines of every log in `folder`, by its path there; Kafka's records end in .log too, and are left out."""
    logs = (each for each in sorted(folder.rglob("*.log")) if not each.stem.isdigit())
    return {
        str(each.relative_to(folder)): "\n".join(each.read_text(errors="replace").splitlines()[-LINES:])
        for each in logs
    }

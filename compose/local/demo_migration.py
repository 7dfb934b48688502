"""One real migration through the whole pipeline: what is copied, what is asked of the view, and whether both agree.

The agent's own count is one side, the view's answer the other; nothing in between is trusted. It prints nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from taskstream.compose.errors import DemoError
from taskstream.producer.agent import CopyJob, CopyResult, copy_tree
from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.progress_client import ProgressClient

LOOK_EVERY_S = 0.5
SETTLE_WITHIN_S = 30.0
FIELDS = ("progress", "replicatesize", "totalsize")


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """One number that both sides know: the agent's, and the view's (None where it has none)."""

    subtask: str
    what: str
    agent: int
    view: int | None

    @property
    def agrees(self) -> bool:
        """Whether it is the same number."""
        return self.agent == self.view


@dataclass(frozen=True, slots=True)
class DemoMigration:
    """A copy to be made and reported, and where."""

    job: CopyJob
    edge_url: str
    view_url: str
    token: str


class DemoView:
    """What the view answers of one task."""

    def __init__(self, migration: DemoMigration) -> None:
        self._url = f"{migration.view_url}/tasks/{migration.job.task_id}"
        self._pool = urllib3.PoolManager(headers={"X-Auth-Token": migration.token}, timeout=5, retries=False)

    def task(self) -> dict[str, Any] | None:
        """Everything that is known of it; None while nothing is, or while the view is away."""
        try:
            answer = self._pool.request("GET", self._url)
        except urllib3.exceptions.HTTPError:
            return None
        if answer.status != 200:
            return None
        known: dict[str, Any] = answer.json()
        return known


def migrate(
    migration: DemoMigration, show: Callable[[dict[str, Any] | None], None], look_after: Callable[[], None]
) -> CopyResult:
    """Copy and report; meanwhile `show` what the view knows and `look_after` the processes, again and again.

    Raises:
        DemoError: the copy could not be made.
    """
    results: list[CopyResult] = []
    failures: list[Exception] = []

    def copy() -> None:
        try:
            with ProgressClient(migration.edge_url, AuthToken.of(migration.token)) as client:
                results.append(copy_tree(migration.job, client, stop=stop))
        except Exception as error:  # noqa: BLE001 (it is raised again in the thread that waits)
            failures.append(error)

    stop = threading.Event()
    view = DemoView(migration)
    thread = threading.Thread(target=copy, name="agent")
    thread.start()
    try:
        while thread.is_alive():
            look_after()
            show(view.task())
            thread.join(LOOK_EVERY_S)
    finally:
        stop.set()
        thread.join()
    if failures:
        raise DemoError(f"the copy failed: {failures[0]}") from failures[0]
    return results[0]


def compare(migration: DemoMigration, result: CopyResult, look_after: Callable[[], None]) -> list[ComparedFigure]:
    """Both sides' final numbers; asked until they agree, and for a while at most."""
    view = DemoView(migration)
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while True:
        figures = _figures(view.task(), result)
        if all(figure.agrees for figure in figures) or time.monotonic() > deadline:
            return figures
        look_after()
        time.sleep(LOOK_EVERY_S)


def bytes_of(folder: Path) -> int:
    """The bytes in all regular files below a folder: a third count, by nobody's report."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _figures(task: dict[str, Any] | None, result: CopyResult) -> list[ComparedFigure]:
    known = {each["subtask_name"]: each for each in (task or {}).get("subtasks", [])}
    figures = [
        ComparedFigure(subtask.name, what, getattr(subtask, what), known.get(subtask.name, {}).get(what))
        for subtask in result.subtasks
        for what in FIELDS
    ]
    reports = sum(each["reports"] for each in known.values()) if known else None
    return [*figures, ComparedFigure("all", "reports", result.reports.acknowledged, reports)]

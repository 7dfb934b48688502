"""Runs one real migration through a local stack, and compares the agent's figures with the view's. It prints nothing.

The comparison uses only what the agent counted and what the view returns, so an error anywhere between shows.
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

POLL_S = 0.5
AGREE_WITHIN_S = 30.0
FIELDS = ("progress", "replicatesize", "totalsize")


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """One figure of a subtask: the agent's value, and the view's (None if the view has none)."""

    subtask: str
    what: str
    agent: int
    view: int | None

    @property
    def agrees(self) -> bool:
        """Whether both values are equal."""
        return self.agent == self.view


@dataclass(frozen=True, slots=True)
class DemoMigration:
    """A copy to run and report, and the stack's addresses and token."""

    job: CopyJob
    edge_url: str
    view_url: str
    token: str


class DemoView:
    """Reads the migration's task from the view."""

    def __init__(self, migration: DemoMigration) -> None:
        self._url = f"{migration.view_url}/tasks/{migration.job.task_id}"
        self._pool = urllib3.PoolManager(headers={"X-Auth-Token": migration.token}, timeout=5, retries=False)

    def task(self) -> dict[str, Any] | None:
        """The task as the API's JSON object; None if the view does not know it or does not answer."""
        try:
            answer = self._pool.request("GET", self._url)
        except urllib3.exceptions.HTTPError:
            return None
        if answer.status != 200:
            return None
        document: dict[str, Any] = answer.json()
        return document


def migrate(
    migration: DemoMigration, show: Callable[[dict[str, Any] | None], None], poll_stack: Callable[[], None]
) -> CopyResult:
    """Run the copy in a thread; every POLL_S call `show` with the view's task, and `poll_stack`.

    Raises:
        DemoError: the copy failed.
    """
    results: list[CopyResult] = []
    failures: list[Exception] = []

    def copy() -> None:
        try:
            with ProgressClient(migration.edge_url, AuthToken.of(migration.token)) as client:
                results.append(copy_tree(migration.job, client, stop=stop))
        except Exception as error:  # noqa: BLE001 (it is raised again in the calling thread)
            failures.append(error)

    stop = threading.Event()
    view = DemoView(migration)
    thread = threading.Thread(target=copy, name="agent")
    thread.start()
    try:
        while thread.is_alive():
            poll_stack()
            show(view.task())
            thread.join(POLL_S)
    finally:
        stop.set()
        thread.join()
    if failures:
        raise DemoError(f"the copy failed: {failures[0]}") from failures[0]
    return results[0]


def compare(migration: DemoMigration, result: CopyResult, poll_stack: Callable[[], None]) -> list[ComparedFigure]:
    """The final figures of agent and view. Reads the view until all agree, for at most AGREE_WITHIN_S seconds."""
    view = DemoView(migration)
    deadline = time.monotonic() + AGREE_WITHIN_S
    while True:
        figures = _figures(view.task(), result)
        if all(figure.agrees for figure in figures) or time.monotonic() > deadline:
            return figures
        poll_stack()
        time.sleep(POLL_S)


def bytes_of(folder: Path) -> int:
    """The bytes of all regular files below a folder, counted independently of the agent."""
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

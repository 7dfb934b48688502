"""A list of tasks that the view's event stream keeps current, and whether it is current.

It fetches through a callback that it is given; it neither prints nor sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskstream.compose.errors import ViewError, ViewRefused
from taskstream.compose.view_client import StreamEvent, StreamLost

REFRESH_S = 4.0
"""How often the list is fetched again: the stream reports changed tasks, but not their positions."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tasks in their order, and the fleet's totals, fetched at one moment."""

    tasks: Sequence[dict[str, Any]]
    fleet: dict[str, Any]


@dataclass(slots=True)
class WatchedTasks:
    """The current state of a list of tasks. `fetch` returns a snapshot; `clock` returns monotonic seconds."""

    fetch: Callable[[], Snapshot]
    clock: Callable[[], float]
    fleet: dict[str, Any] = field(default_factory=dict)
    lost: str | None = None
    """Why the tasks are not current: the reason for which the stream or a fetch failed; None if they are."""
    lag_s: float = 0.0
    """How far the view is behind Kafka, in seconds."""
    beat: dict[str, Any] = field(default_factory=dict)
    """The last beat of the stream: how far the view and the workers are behind."""
    _rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _fetched_s: float | None = None

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """The tasks in the order of the last snapshot, with the changes since."""
        return list(self._rows.values())

    def apply(self, event: StreamEvent | StreamLost) -> None:
        """Apply an event of the stream, and fetch a snapshot when one is due.

        Raises:
            ViewRefused: the view refuses the fetch for good.
        """
        if isinstance(event, StreamLost):
            self.lost = f"{event.reason}; next try in {event.wait_s:.0f} s"
            return
        reconnected = self.lost is not None
        self.lost = None
        key = (str(event.data.get("project_id")), str(event.data.get("task_id")))
        if event.name == "beat":
            self.beat = event.data
            self.lag_s = float(event.data.get("lag_s", 0.0))
        elif event.name == "task" and key in self._rows:
            self._rows[key] = event.data
        elif event.name == "left":
            self._rows.pop(key, None)
        due = self._fetched_s is None or self.clock() - self._fetched_s >= REFRESH_S
        if reconnected or due or event.name == "reset":
            try:
                self.refresh()
            except ViewError as error:
                if not is_transient(error):
                    raise
                self.lost = str(error)

    def refresh(self) -> None:
        """Fetch a snapshot now.

        Raises:
            ViewError: `fetch` raised it.
        """
        snapshot = self.fetch()
        self.fleet = snapshot.fleet
        self._rows = {(each["project_id"], each["task_id"]): each for each in snapshot.tasks}
        self._fetched_s = self.clock()


def is_transient(error: ViewError) -> bool:
    """Whether the same request may succeed later."""
    return not isinstance(error, ViewRefused) or error.retriable

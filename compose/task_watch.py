"""Tasks kept true by the stream: which are shown, in which order, and whether they still are what the view says.

It asks through what it is given, and neither prints nor waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from taskstream.compose.errors import ViewError, ViewRefused
from taskstream.compose.view_client import StreamEvent, StreamLost

REFRESH_S = 4.0
"""How often the order is fetched anew: the stream tells of tasks, not of their places."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was fetched at one moment: tasks in their order, and the sums."""

    tasks: Sequence[dict[str, Any]]
    fleet: dict[str, Any]


@dataclass(slots=True)
class WatchedTasks:
    """The newest known of the tasks shown. `fetch` brings a snapshot; `clock` is monotonic seconds."""

    fetch: Callable[[], Snapshot]
    clock: Callable[[], float]
    fleet: dict[str, Any] = field(default_factory=dict)
    lost: str | None = None
    """Why the stream is not heard, and nothing here is new."""
    lag_s: float = 0.0
    """How far the view itself is behind Kafka."""
    _rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _fetched_s: float | None = None

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """In the order of the last snapshot, with the changes since."""
        return list(self._rows.values())

    def take(self, happening: StreamEvent | StreamLost) -> None:
        """Take in what the stream said; fetches anew when that is due.

        Raises:
            ViewRefused: the view will not answer this, now or later.
        """
        if isinstance(happening, StreamLost):
            self.lost = f"{happening.reason}; next try in {happening.wait_s:.0f} s"
            return
        back = self.lost is not None
        self.lost = None
        key = (str(happening.data.get("project_id")), str(happening.data.get("task_id")))
        if happening.name == "beat":
            self.lag_s = float(happening.data.get("lag_s", 0.0))
        elif happening.name == "task" and key in self._rows:
            self._rows[key] = happening.data
        elif happening.name == "left":
            self._rows.pop(key, None)
        due = self._fetched_s is None or self.clock() - self._fetched_s >= REFRESH_S
        if back or due or happening.name == "reset":
            try:
                self.refresh()
            except ViewError as error:
                if not passes_by(error):
                    raise
                self.lost = str(error)

    def refresh(self) -> None:
        """Fetch tasks and sums now.

        Raises:
            ViewError: what `fetch` raises.
        """
        snapshot = self.fetch()
        self.fleet = snapshot.fleet
        self._rows = {(each["project_id"], each["task_id"]): each for each in snapshot.tasks}
        self._fetched_s = self.clock()


def passes_by(error: ViewError) -> bool:
    """Whether the same question may be answered a little later."""
    return not isinstance(error, ViewRefused) or error.retriable

"""What the view holds: the series, their tasks, and a number that counts changes. Only the event loop touches it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consumer.series import Rows
from consumer.table import SeriesTable, Settings
from consumer.tasks import Tasks
from consumer.view.follow import Changes


@dataclass(frozen=True, slots=True)
class Touched:
    """What one batch of changes touched."""

    tasks: list[int]
    """Numbers of tasks that have new rows."""
    gone: list[tuple[str, str]]
    """Project and id of tasks that are no more."""


class Board:
    """The rows as they were published last, rolled up."""

    def __init__(self, settings: Settings) -> None:
        self.table = SeriesTable(settings)
        self.tasks = Tasks(self.table)
        self.version = 0
        """Grows with every change."""

    @property
    def bucket_us(self) -> int:
        """The width of a 'minute', microseconds."""
        return self.table.settings.bucket_us

    def apply(self, changes: Changes) -> Touched:
        """Take a batch of changes in."""
        touched: dict[int, None] = {}
        lessened: set[tuple[str, str]] = set()
        if changes.dropped:
            slots = self.table.find(changes.dropped)
            for slot in slots.tolist():
                lessened.add(self.tasks.name_of(self.tasks.of_slot(slot)))
            touched.update(dict.fromkeys(self.tasks.drop(slots.tolist())))
            self.table.drop(slots)
        if changes.keys:
            self.table.put(changes.keys, changes.rows, changes.traces, changes.agent_times)
            touched.update(dict.fromkeys(self.tasks.put(self.table.find(changes.keys).tolist())))
        gone = [name for name in lessened if self.tasks.find(*name) is None]
        if touched or gone:
            self.version += 1
        return Touched(list(touched), gone)

    def current_rows(self, tasks: npt.NDArray[np.int64]) -> Rows:
        """The rows of these tasks' current subtasks, a copy."""
        return self.table.rows[self.tasks.current[tasks]]

"""A note about a task: that it is known, or that it must not alert, until an end. It knows no Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LONGEST_US: Final = 7 * 86_400 * 1_000_000
"""The longest time for which a note may hold."""
LONGEST_NOTE, LONGEST_BY = 500, 100
"""Characters."""


class NoteKind(StrEnum):
    """What a note does beyond its words."""

    ACKNOWLEDGED = "ACKNOWLEDGED"
    """Somebody knows; the task no longer counts among those that need somebody."""
    MUTED = "MUTED"
    """As ACKNOWLEDGED, and the task does not alert."""


@dataclass(frozen=True, slots=True)
class TaskNote:
    """One TaskNote record, with the names of its fields. Times are microseconds since 1970."""

    project_id: str
    task_id: str
    kind: NoteKind
    note: str
    by: str
    made_at: int
    until: int

    @property
    def name(self) -> tuple[str, str]:
        """Project and id of the task."""
        return self.project_id, self.task_id

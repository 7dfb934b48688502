"""Which records somebody wants to see. It decides only."""

from __future__ import annotations

from dataclasses import dataclass

from taskstream.consumer.tail.decoded_record import DecodedRecord


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Records of this project, task and subtask, and of these kinds of signal; None: of any.

    What cannot be read is taken by its key.
    """

    project_id: str | None = None
    task_id: str | None = None
    subtask_name: str | None = None
    signals: frozenset[str] | None = None

    def takes(self, seen: DecodedRecord) -> bool:
        """Whether it is one of them."""
        if self.signals is not None and (seen.record is None or seen.record.get("signal") not in self.signals):
            return False
        pairs = (
            (self.project_id, seen.project_id),
            (self.task_id, seen.task_id),
            (self.subtask_name, seen.subtask_name),
        )
        return all(wanted in (None, found) for wanted, found in pairs)

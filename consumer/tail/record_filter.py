"""Which records to show. It decides, and reads nothing."""

from __future__ import annotations

from dataclasses import dataclass

from taskstream.consumer.tail.decoded_record import DecodedRecord


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Records of this project, task and subtask, and of these kinds of signal; None: of any.

    A record that cannot be decoded is matched by its key.
    """

    project_id: str | None = None
    task_id: str | None = None
    subtask_name: str | None = None
    signals: frozenset[str] | None = None

    def matches(self, decoded: DecodedRecord) -> bool:
        """Whether the record is one of them."""
        if self.signals is not None and (decoded.record is None or decoded.record.get("signal") not in self.signals):
            return False
        pairs = (
            (self.project_id, decoded.project_id),
            (self.task_id, decoded.task_id),
            (self.subtask_name, decoded.subtask_name),
        )
        return all(wanted in (None, found) for wanted, found in pairs)

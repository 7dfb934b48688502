"""Which rejected records to redrive, and why the others are kept. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.rejects.rejected_record import missing_origin
from taskstream.consumer.rejects.rejects_reader import JudgedReject


class KeptReject(enum.StrEnum):
    """Why a rejected record is not redriven."""

    REDRIVEN = "driven already"
    EXHAUSTED = "driven too often"
    UNREADABLE = "still unreadable"
    ELSEWHERE = "not from here"
    """Its origin is another topic, a partition that does not exist, or unknown."""


@dataclass(frozen=True, slots=True)
class RedriveChoice:
    """What the caller selects. A record that does not match is neither redriven nor counted."""

    topic: str
    """The topic that records are redriven to."""
    partitions: int
    max_redrives: int
    unreadable_too: bool = False
    reasons: frozenset[str] = frozenset()
    """Empty: any."""
    locations: frozenset[str] = frozenset()
    """PARTITION:OFFSET on the rejected topic; empty: any."""
    selection: KeySelection = field(default_factory=KeySelection)

    def matches(self, judged: JudgedReject) -> bool:
        """Whether this record is selected."""
        reject = judged.reject
        if self.locations and reject.location not in self.locations:
            return False
        return (not self.reasons or reject.reason in self.reasons) and self.selection.includes(reject.record.key)

    def why_kept(self, judged: JudgedReject) -> KeptReject | None:
        """Why a record that matches is not redriven; None: it is."""
        if judged.redriven:
            return KeptReject.REDRIVEN
        if missing_origin(judged.reject, self.topic, self.partitions) is not None:
            return KeptReject.ELSEWHERE
        if judged.reject.redrives >= self.max_redrives:
            return KeptReject.EXHAUSTED
        if not judged.readable and not self.unreadable_too:
            return KeptReject.UNREADABLE
        return None

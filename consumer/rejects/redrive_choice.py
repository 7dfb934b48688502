"""Which rejected records are to be driven back, and why the others are not. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.rejects.rejected_record import missing_origin
from taskstream.consumer.rejects.rejects_reader import JudgedReject


class KeptReject(enum.StrEnum):
    """Why one is not driven back."""

    DRIVEN = "driven already"
    EXHAUSTED = "driven too often"
    UNREADABLE = "still unreadable"
    ELSEWHERE = "not from here"
    """It came from another topic, from a partition that is not there, or does not tell."""


@dataclass(frozen=True, slots=True)
class RedriveChoice:
    """What was asked for; what is not of it is not counted either."""

    topic: str
    """The one that they are driven back to."""
    partitions: int
    max_drives: int
    unreadable_too: bool = False
    reasons: frozenset[str] = frozenset()
    """Empty: any."""
    places: frozenset[str] = frozenset()
    """PARTITION:OFFSET on the rejected topic; empty: any."""
    selection: KeySelection = field(default_factory=KeySelection)

    def asked(self, judged: JudgedReject) -> bool:
        """Whether this one is meant."""
        reject = judged.reject
        if self.places and reject.place not in self.places:
            return False
        return (not self.reasons or reject.reason in self.reasons) and self.selection.takes(reject.record.key)

    def kept(self, judged: JudgedReject) -> KeptReject | None:
        """Why this one is not driven back; None: it is."""
        if judged.driven:
            return KeptReject.DRIVEN
        if missing_origin(judged.reject, self.topic, self.partitions) is not None:
            return KeptReject.ELSEWHERE
        if judged.reject.drives >= self.max_drives:
            return KeptReject.EXHAUSTED
        if not judged.readable and not self.unreadable_too:
            return KeptReject.UNREADABLE
        return None

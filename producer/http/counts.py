"""What the edge has answered, in plain numbers: counting must cost a request next to nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from taskstream.schemas.http.api_error import ErrorKind


@dataclass(slots=True)
class EdgeCounts:
    """Since the process began."""

    refused: Counter[ErrorKind] = field(default_factory=Counter)
    taken: int = 0
    """Reports answered with 200."""
    unknown_fields: int = 0
    """Fields of reports that are not known here: agents that are newer than we are."""

    def refuse(self, kind: ErrorKind) -> None:
        """Count one refusal."""
        self.refused[kind] += 1

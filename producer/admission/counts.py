"""What the edge has responded, as plain numbers: counting one request must cost next to nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from taskstream.schemas.http.api_error import ErrorKind


@dataclass(slots=True)
class EdgeCounts:
    """Counts since the process began."""

    refused: Counter[ErrorKind] = field(default_factory=Counter)
    """Requests that ended with an error response."""
    accepted: int = 0
    """Reports whose response was 200."""
    unknown_fields: int = 0
    """Fields of reports that this version does not know: the agents are newer."""

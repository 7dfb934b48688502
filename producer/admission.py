"""How much the edge takes on: every bound in one place, with defaults that a stranger can live with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TASK_ID_CHARS: Final = 255
"""From the specification."""
TOKEN_CHARS: Final = 16_384
"""From the specification."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Past any of these a request is refused at once, with an error that says which."""

    body_bytes: int = 65_536
    """Of one report; the longest that the API allows is about 20 kB."""
    in_flight: int = 10_000
    """Requests being answered, of one process."""
    queued_events: int = 50_000
    """Events on their way to Kafka, of one process."""
    ack_timeout_s: float = 10.0
    """How long Kafka has to acknowledge; an answer comes at most half a second later."""
    retry_after_s: int = 2
    """What a 503 asks the caller to wait."""

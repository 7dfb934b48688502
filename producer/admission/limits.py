"""How much the edge takes on: every bound in one place, with defaults that a stranger can live with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TASK_ID_CHARS: Final = 255
"""From the specification."""
TOKEN_CHARS: Final = 16_384
"""From the specification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Past any of these a request is refused at once, with an error that says which."""

    body_bytes: int = 65_536
    """Of one report, on the wire and inflated; the longest that the API allows is about 20 kB."""
    batch_bytes: int = 1_048_576
    """Of one batch, on the wire and inflated."""
    batch_reports: int = 1_000
    """In one batch."""
    in_flight: int = 10_000
    """Reports produced and not yet acknowledged, of one process."""
    queued_events: int = 20_000
    """Events in librdkafka's queue, of one process; more than `in_flight`, for those that were given up."""
    reports_per_s: float = 10_000.0
    """Of one project, in one process; 0: no limit."""
    reports_burst: float = 20_000.0
    """What a project may send at once after a pause."""
    ack_timeout_s: float = 10.0
    """How long Kafka has to acknowledge; an answer comes at most half a second later."""
    retry_after_s: int = 2
    """What a 503 asks the caller to wait."""

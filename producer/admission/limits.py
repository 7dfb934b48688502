"""The limits of the edge on reports: sizes, counts, quota, times.

Those of connections are `compose.server.bounded_http.HttpBounds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TASK_ID_CHARS: Final = 255
"""The longest task id, from the specification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The edge refuses a request that exceeds one of these at once, with an error that names the limit."""

    body_bytes: int = 65_536
    """Of one report, on the wire and inflated; the longest that the API allows is about 20 kB."""
    batch_bytes: int = 1_048_576
    """Of one batch, on the wire and inflated."""
    batch_reports: int = 1_000
    """In one batch."""
    in_flight: int = 10_000
    """Reports produced and not yet acknowledged, per process."""
    queued_events: int = 20_000
    """Events in librdkafka's queue, per process. Exceeds `in_flight`, because overdue events stay in the queue."""
    reports_per_s: float = 10_000.0
    """Per project and process; 0: no limit."""
    reports_burst: float = 20_000.0
    """Reports that a project may send at once after a pause."""
    tasks_per_project: int = 50_000
    """Live tasks of a project, per process; 0: no limit."""
    ack_timeout_s: float = 10.0
    """How long Kafka has to acknowledge an event; the response follows at most half a second later."""
    retry_after_s: int = 2
    """The Retry-After of a 503."""

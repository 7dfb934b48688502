"""What is recorded of a report: the event with its key, its bytes and its headers. It produces nothing."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

from producer.report import ProgressReport
from schemas.catalog import newest
from schemas.codec import RecordWriter
from schemas.ids import SchemaIds
from schemas.topics import task_key

RECORD: Final = "ProgressReported"
_EVENT_NAMESPACE: Final = uuid.UUID("4f6c3f2e-6a0b-5d1c-9c57-2a1f6c1f0d57")
_FIXED_HEADERS: Final = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"taskstream.ProgressReported"),
    ("ce_source", b"/taskstream/edge"),
    ("content-type", b"application/avro"),
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who reported what task, and when that was taken."""

    project_id: str
    task_id: str
    event_id: str
    received_at_us: int
    """Microseconds since 1970 UTC."""
    traceparent: bytes | None = None
    """The caller's W3C trace context, as it came."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record, ready to be produced."""

    key: str
    value: bytes
    headers: list[tuple[str, str | bytes | None]]
    timestamp_ms: int


class EventWriter:
    """Makes events of reports, in the newest version of the record."""

    def __init__(self, ids: SchemaIds) -> None:
        self._writer = RecordWriter(ids, newest(RECORD))
        self._second = -1
        self._second_text = ""

    def write(self, report: ProgressReport, receipt: Receipt) -> Event:
        """The event: keyed by project and task, its headers CloudEvents' in binary mode."""
        received_at_us = receipt.received_at_us
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_id", receipt.event_id.encode()),
            ("ce_time", self._rfc3339(received_at_us)),
            *_FIXED_HEADERS,
        ]
        if receipt.traceparent is not None:
            headers.append(("traceparent", receipt.traceparent))
        key = task_key(receipt.project_id, receipt.task_id)
        value = self._writer.write(recorded(report, receipt))
        return Event(key, value, headers, received_at_us // 1000)

    def _rfc3339(self, at_us: int) -> bytes:
        second, fraction_us = divmod(at_us, 1_000_000)
        if second != self._second:  # the text of a second serves every event in it
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{fraction_us:06d}Z".encode()


def recorded(report: ProgressReport, receipt: Receipt) -> dict[str, Any]:
    """The record's fields; what the report does not have is absent and takes the schema's default."""
    return {
        **report.__dict__,
        "event_id": receipt.event_id,
        "project_id": receipt.project_id,
        "task_id": receipt.task_id,
        "received_at": receipt.received_at_us,
    }


def event_id(project_id: str, task_id: str, idempotency_key: str | None) -> str:
    """The name of an event: the same for the same key of the same task, else one that never was."""
    if idempotency_key is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(_EVENT_NAMESPACE, f"{project_id}\0{task_id}\0{idempotency_key}"))

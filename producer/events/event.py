"""What is recorded of a report: the event with its key, its bytes and its headers. It produces nothing."""

from __future__ import annotations

import random
import time
import uuid
from typing import Any, Final, NamedTuple

from taskstream.producer.events.progress_encoder import ProgressEncoder
from taskstream.producer.events.report_validation import ProgressReport
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import task_key

_EVENT_NAMESPACE: Final = uuid.UUID("4f6c3f2e-6a0b-5d1c-9c57-2a1f6c1f0d57")
_FIXED_HEADERS: Final = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"taskstream.ProgressReported"),
    ("ce_source", b"/taskstream/edge"),
    ("content-type", b"application/avro"),
)


class Receipt(NamedTuple):  # a tuple and no dataclass, as the other facts made once a request: they cost a third
    """Who reported what task, and when that was taken."""

    project_id: str
    task_id: str
    event_id: str
    received_at_us: int
    """Microseconds since 1970 UTC."""
    traceparent: bytes | None = None
    """The caller's W3C trace context, as it came."""


class Event(NamedTuple):
    """One record, ready to be produced."""

    key: str
    value: bytes
    headers: list[tuple[str, str | bytes | None]]
    timestamp_ms: int


class EventWriter:
    """Makes events of reports, in the newest version of the record."""

    def __init__(self, ids: SchemaIds) -> None:
        self._writer = ProgressEncoder(ids)
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
        value = self._writer.write(
            report.__dict__, receipt.event_id, receipt.project_id, receipt.task_id, received_at_us
        )
        return Event(key, value, headers, received_at_us // 1000)

    def _rfc3339(self, at_us: int) -> bytes:
        second, fraction_us = divmod(at_us, 1_000_000)
        if second != self._second:  # the text of a second serves every event in it
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{fraction_us:06d}Z".encode()


def recorded(report: ProgressReport, receipt: Receipt) -> dict[str, Any]:
    """The event's fields, to be shown."""
    fields = {name: report.__dict__[name] for name in ProgressReport.model_fields}
    return {
        "event_id": receipt.event_id,
        "project_id": receipt.project_id,
        "task_id": receipt.task_id,
        "received_at": receipt.received_at_us,
        **fields,
    }


def fresh_event_id(received_at_us: int) -> str:
    """A name that never was: UUID version 7 (RFC 9562), so that names sort as their times do."""
    millis, micros = divmod(received_at_us, 1000)
    low = random.getrandbits(62)  # a name and no secret; a forked worker's generator is seeded anew
    third, fourth, fifth = 0x7000 | micros * 4096 // 1000, low >> 48 | 0x8000, low & 0xFFFF_FFFF_FFFF
    return f"{millis >> 16:08x}-{millis & 0xFFFF:04x}-{third:04x}-{fourth:04x}-{fifth:012x}"


def same_event_id(project_id: str, task_id: str, idempotency_key: str) -> str:
    """The same name for the same key of the same task, whenever it is asked for."""
    return str(uuid.uuid5(_EVENT_NAMESPACE, f"{project_id}\0{task_id}\0{idempotency_key}"))

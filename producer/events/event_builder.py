"""Builds the Kafka event of a report: key, value, headers and timestamp. It sends nothing."""

from __future__ import annotations

import hashlib
import random
import time
import uuid
from typing import Any, Final, NamedTuple

from taskstream.producer.events.plain_report import PlainReport
from taskstream.producer.events.progress_encoder import ProgressEncoder, report_offset
from taskstream.producer.events.report_validation import ProgressReport
from taskstream.schemas.cloud_events import EDGE, constant_headers
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import task_key

_EVENT_NAMESPACE: Final = uuid.UUID("4f6c3f2e-6a0b-5d1c-9c57-2a1f6c1f0d57").bytes
_FIXED_HEADERS: Final = constant_headers("ProgressReported", EDGE)


class Receipt(NamedTuple):  # made once per request: a tuple costs a third of a frozen dataclass
    """What the edge adds to a report: project, task, event id and time of receipt."""

    project_id: str
    task_id: str
    event_id: str
    received_at_us: int
    """Microseconds since 1970 UTC."""
    traceparent: bytes | None = None
    """The caller's W3C trace context, unchanged."""
    has_key: bool = False
    """Whether an idempotency key of the caller made the event id."""


class Event(NamedTuple):
    """One record, ready to be produced."""

    key: str
    value: bytes
    headers: list[tuple[str, str | bytes | None]]
    timestamp_ms: int


class EventBuilder:
    """Builds events of the newest version of ProgressReported."""

    def __init__(self, ids: SchemaIds) -> None:
        self._encoder = ProgressEncoder(ids)
        self._second = -1
        self._second_text = ""

    def build(self, report: PlainReport | ProgressReport, receipt: Receipt) -> Event:
        """The event, keyed by project and task, with the headers of CloudEvents' binary content mode.

        https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
        """
        received_at_us = receipt.received_at_us
        headers: list[tuple[str, str | bytes | None]] = [
            ("ce_id", receipt.event_id.encode()),
            ("ce_time", self._rfc3339(received_at_us)),
            *_FIXED_HEADERS,
        ]
        if receipt.traceparent is not None:
            headers.append(("traceparent", receipt.traceparent))
        key = task_key(receipt.project_id, receipt.task_id)
        value = self._encoder.encode(report, receipt.event_id, receipt.project_id, receipt.task_id, received_at_us)
        return Event(key, value, headers, received_at_us // 1000)

    def _rfc3339(self, at_us: int) -> bytes:
        second, fraction_us = divmod(at_us, 1_000_000)
        if second != self._second:  # all events within one second share the formatted text
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{fraction_us:06d}Z".encode()


def event_fields(report: PlainReport | ProgressReport, receipt: Receipt) -> dict[str, Any]:
    """The fields of the event as JSON-compatible values, in the order of the schema."""
    fields = {name: getattr(report, name) for name in ProgressReport.model_fields}
    return {
        "event_id": receipt.event_id,
        "project_id": receipt.project_id,
        "task_id": receipt.task_id,
        "received_at": receipt.received_at_us,
        **fields,
    }


def encoded_report(event: Event, receipt: Receipt) -> bytes:
    """The report's own fields as the event holds them: equal for equal reports, whenever they are received."""
    at = report_offset(receipt.event_id, receipt.project_id, receipt.task_id, receipt.received_at_us)
    return event.value[at:]


def new_event_id(received_at_us: int) -> str:
    """A new UUID of version 7 (RFC 9562, 5.7), so that event ids sort by time of receipt."""
    millis, micros = divmod(received_at_us, 1000)
    low = random.getrandbits(62) | 1 << 63  # not a secret; Python reseeds the generator in a forked process
    text = "%012x7%03x%016x" % (millis, micros * 4096 // 1000, low)  # noqa: UP031 # faster than a format string
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def idempotent_event_id(project_id: str, task_id: str, idempotency_key: str) -> str:
    """The event id for an Idempotency-Key: a UUID of version 5 of project, task and key, equal for every retry."""
    return _uuid5(f"{project_id}\0{task_id}\0{idempotency_key}".encode())


def resent_event_id(project_id: str, task_id: str, request_id: str, body: bytes) -> str:
    """The event id for an X-Request-Id: a UUID of version 5 of project, task, request id and body.

    A caller may send the same request id with many reports, so the id alone does not name a report.
    """
    return _uuid5(f"{project_id}\0{task_id}\0{request_id}\0".encode() + body)


def _uuid5(name: bytes) -> str:
    """A UUID of version 5 (RFC 9562, 5.5); the `uuid` module takes four times as long for the text of one."""
    text = hashlib.sha1(_EVENT_NAMESPACE + name, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"

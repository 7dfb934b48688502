"""The endpoint that takes one report: checks it, produces it, and answers when Kafka has it. It knows no server."""

from __future__ import annotations

import functools
import json
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Final

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.admission.admission import Admission
from taskstream.producer.admission.limits import TASK_ID_CHARS, Limits
from taskstream.producer.callers.signature import signed_key
from taskstream.producer.errors import NotAcked, RecordTooLarge
from taskstream.producer.events.event import Event, EventWriter, Receipt, fresh_event_id, recorded, same_event_id
from taskstream.producer.events.report_validation import ProgressReport, read_report
from taskstream.producer.http.body_encoding import JSON, demand_media
from taskstream.producer.http.request import EdgeRequest, EdgeResponse, wants_validation
from taskstream.schemas.http.api_error import MALFORMED, TOO_LARGE, ApiError

_EMPTY: Final = (b"content-length", b"0")
TASK_ID_PATTERN: Final = "^[^\\x00-\\x1f\\x7f]*$"
"""What `task_id_problem` allows, as a regular expression for those who read the API's description."""
_KEY: Final = re.compile(rb"[!-~]{1,255}")
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class ProgressEndpoint:
    """PUT /v3/tasks/{task_id}/progress."""

    def __init__(
        self,
        admission: Admission,
        writer: EventWriter,
        acks: AckedProducer,
        limits: Limits,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self._admission = admission
        self._writer = writer
        self._acks = acks
        self._limits = limits
        self._clock_us = clock_us

    async def put(self, request: EdgeRequest, task_segment: bytes) -> EdgeResponse:
        """200 without a body once Kafka has the report; the receipt stands in the headers.

        Raises:
            ApiError: everything else.
        """
        project_id, body = await self._admission.take(request, self._limits.body_bytes)
        report, receipt, event = self.event(request, task_segment, project_id, body)
        if request.query and wants_validation(request.query):
            return would_be(report, receipt, event, request)
        self._admission.admit(project_id, 1)
        try:
            ack = await self._acks.send(event)
        except RecordTooLarge as error:
            raise ApiError(TOO_LARGE, str(error)) from error
        except NotAcked as error:
            raise self._admission.unavailable(str(error)) from error
        self._admission.counts.taken += 1
        named = receipt.event_id.encode()
        return EdgeResponse(
            200,
            [
                _EMPTY,
                (b"x-request-id", request.request_id.encode() or named),
                (b"x-event-id", named),
                (b"x-partition", b"%d" % ack.partition),
                (b"x-offset", b"%d" % ack.offset),
            ],
        )

    def event(
        self, request: EdgeRequest, task_segment: bytes, project_id: str, body: bytes
    ) -> tuple[ProgressReport, Receipt, Event]:
        """What is recorded of a request that this caller may make.

        Raises:
            ApiError: something in it is wrong.
        """
        demand_media(request, JSON)
        task_id = read_task_id(task_segment)
        report = read_report(body)
        self._admission.counts.unknown_fields += report.unknown_fields
        received_at_us = self._clock_us()
        key = idempotency_key(request)
        name = same_event_id(project_id, task_id, key) if key else fresh_event_id(received_at_us)
        receipt = Receipt(project_id, task_id, name, received_at_us, traceparent(request))
        return report, receipt, self._writer.write(report, receipt)


def would_be(report: ProgressReport, receipt: Receipt, event: Event, request: EdgeRequest) -> EdgeResponse:
    """The answer to `?validate=true`: the event as it would be, and nothing is produced."""
    document = {
        "event": recorded(report, receipt),
        "key": event.key,
        "headers": {name: value.decode() for name, value in event.headers if isinstance(value, bytes)},
        "timestamp": event.timestamp_ms,
        "value_bytes": len(event.value),
        "unknown_fields": sorted(report.model_extra or ()),
    }
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return EdgeResponse(200, [*headers, (b"x-request-id", request.name().encode())], body)


def idempotency_key(request: EdgeRequest) -> str | None:
    """What makes a retried report recognisable: Idempotency-Key, else the caller's own X-Request-Id.

    Of a signed request only what is signed counts, else the signature itself: see `signed_key`.

    Raises:
        ApiError: it is no key.
    """
    raw = request.headers.raw
    if b"authorization" in raw and (signed := signed_key(request.headers)) is not None:
        return signed
    key = raw.get(b"idempotency-key")
    if key is None:
        return request.own_request_id
    if not _KEY.fullmatch(key):
        raise ApiError(MALFORMED, "Idempotency-Key must have 1 to 255 characters, each visible ASCII and no space")
    return key.decode("ascii")


def traceparent(request: EdgeRequest) -> bytes | None:
    """The caller's W3C trace context, if it sent one of the right form."""
    value = request.headers.raw.get(b"traceparent")
    return value if value is not None and _TRACEPARENT.fullmatch(value) else None


@functools.lru_cache(4096)
def read_task_id(segment: bytes) -> str:
    """The task's id from its segment of the path.

    Raises:
        ApiError: it is too long, no UTF-8, or has control characters.
    """
    try:
        task_id = urllib.parse.unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(MALFORMED, "the task id in the path is not UTF-8") from error
    if problem := task_id_problem(task_id):
        raise ApiError(MALFORMED, f"the task id in the path {problem}")
    return task_id


def task_id_problem(task_id: str) -> str | None:
    """What is wrong with a task id, or None. One without any character is allowed by the specification."""
    if len(task_id) > TASK_ID_CHARS:
        return f"has {len(task_id)} characters; {TASK_ID_CHARS} is the most"
    if any(character < " " or character == "\x7f" for character in task_id):
        return "has control characters"
    return None

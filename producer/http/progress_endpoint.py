"""The endpoint for one report: checks it, produces it, and responds when Kafka acknowledges. It knows no server."""

from __future__ import annotations

import functools
import json
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Final, NamedTuple

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.admission.admission import Admission
from taskstream.producer.admission.body_encoding import JSON, require_media_type
from taskstream.producer.admission.limits import TASK_ID_CHARS, Limits
from taskstream.producer.admission.quota import quota_cost
from taskstream.producer.callers.signed_head import RequestSignature, request_signature
from taskstream.producer.errors import NotAcked
from taskstream.producer.events.event_builder import (
    Event,
    EventBuilder,
    Receipt,
    encoded_report,
    event_fields,
    idempotent_event_id,
    new_event_id,
    resent_event_id,
)
from taskstream.producer.events.plain_report import PlainReport
from taskstream.producer.events.report_validation import ProgressReport, parse_report
from taskstream.schemas.http.api_error import MALFORMED, ApiError
from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.http.response import HttpResponse, content_response, header_lines

_EMPTY: Final = (b"content-length", b"0")
_RECEIPT: Final = (
    (b"x-request-id", b"%b"),
    (b"x-event-id", b"%b"),
    (b"x-partition", b"%d"),
    (b"x-offset", b"%d"),
)
"""The headers of a 200, with the format of each value: which event it became, and where Kafka stored it."""
RECEIPT_LINES: Final = header_lines((_EMPTY, *_RECEIPT))
"""All headers of a 200 as header lines, to be formatted with request id, event id, partition and offset."""
TASK_ID_PATTERN: Final = "^[^\\x00-\\x1f\\x7f]*$"
"""What `task_id_problem` allows, as a regular expression for the OpenAPI description."""
SHOWN_FIELDS: Final = 20
SHOWN_CHARS: Final = 100
"""How many unknown fields a response names, and how much of a name: a body can have thousands."""
_NAMING: Final = frozenset({b"authorization", b"idempotency-key", b"x-request-id"})
"""The headers that `_event_id` reads."""
_KEY: Final = re.compile(rb"[!-~]{1,255}")
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class ReportHead(NamedTuple):
    """What the head of a request says of its report."""

    task_id: str
    traceparent: bytes | None
    is_named: bool
    """Whether a header may make the event id."""


class ProgressEndpoint:
    """PUT /v3/tasks/{task_id}/progress."""

    def __init__(
        self,
        admission: Admission,
        event_builder: EventBuilder,
        acks: AckedProducer,
        limits: Limits,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self._admission = admission
        self._event_builder = event_builder
        self._acks = acks
        self._limits = limits
        self._clock_us = clock_us

    async def put(self, request: HttpRequest, task_segment: bytes) -> HttpResponse:
        """200 without a body once Kafka has acknowledged the report; the headers are the receipt.

        Raises:
            ApiError: the report is refused, or Kafka did not acknowledge it.
        """
        project_id, body = await self._admission.read_body(request, self._limits.body_bytes)
        try:
            report, receipt, event = self.event(request, report_head(request, task_segment), project_id, body)
            validates_only = request.query and wants_validation(request.query)
        except ApiError as error:
            raise self._admission.charged_refusal(project_id, error, quota_cost(1, len(body))) from error
        if validates_only:
            self._admission.charge(project_id, quota_cost(1, len(body)))
            return validation_response(report, receipt, event, request)
        self._admission.admit(project_id, len(body))
        self._admission.admit_task(project_id, event.key)
        if receipt.has_key:
            self.require_same_report(receipt, event)
        try:
            ack = await self._acks.send(event)
        except NotAcked as error:
            raise self._admission.not_acked(error) from error
        self._admission.counts.accepted += 1
        request_id = request.given_request_id or receipt.event_id
        values = (request_id.encode(), receipt.event_id.encode(), ack.partition, ack.offset)
        receipt_headers = [(name, form % value) for (name, form), value in zip(_RECEIPT, values, strict=True)]
        return HttpResponse(200, [_EMPTY, *receipt_headers])

    def event(
        self,
        request: HttpRequest,
        head: ReportHead,
        project_id: str,
        body: bytes,
        signature: RequestSignature | None = None,
    ) -> tuple[PlainReport | ProgressReport, Receipt, Event]:
        """The event of an authenticated request; nothing is produced. signature: of the request, if it was read.

        Raises:
            ApiError: the idempotency key or the report is invalid.
        """
        report = parse_report(body)
        if report.unknown_names:
            self._admission.counts.unknown_fields += len(report.unknown_names)
        received_at_us = self._clock_us()
        if head.is_named:
            if signature is None and b"authorization" in request.headers.raw:
                signature = request_signature(request.headers)
            event_id, has_key = _event_id(request, project_id, head.task_id, body, received_at_us, signature)
        else:
            event_id, has_key = new_event_id(received_at_us), False
        receipt = Receipt(project_id, head.task_id, event_id, received_at_us, head.traceparent, has_key)
        return report, receipt, self._event_builder.build(report, receipt)

    def require_same_report(self, receipt: Receipt, event: Event) -> None:
        """Return when the receipt's idempotency key came with no other report.

        Raises:
            ApiError: KEY_REUSED.
        """
        self._admission.require_same_report(receipt.project_id, receipt.event_id, encoded_report(event, receipt))


def report_head(request: HttpRequest, task_segment: bytes) -> ReportHead:
    """What a request's head says of its report.

    Raises:
        ApiError: the media type or the task id is invalid.
    """
    require_media_type(request, JSON)
    return ReportHead(read_task_id(task_segment), traceparent(request), not _NAMING.isdisjoint(request.headers.raw))


def wants_validation(query: bytes) -> bool:
    """Whether the query has `validate=true`: then everything is checked and nothing is produced.

    Raises:
        ApiError: MALFORMED, for a value other than true or false.
    """
    value = urllib.parse.parse_qs(query.decode("latin-1"), keep_blank_values=True).get("validate", ["false"])[-1]
    if value not in {"true", "false"}:
        raise ApiError(MALFORMED, "the query parameter validate must be true or false")
    return value == "true"


def validation_response(
    report: PlainReport | ProgressReport, receipt: Receipt, event: Event, request: HttpRequest
) -> HttpResponse:
    """The response to `?validate=true`: the event that the report would become."""
    document = {
        "event": event_fields(report, receipt),
        "key": event.key,
        "headers": {name: value.decode() for name, value in event.headers if isinstance(value, bytes)},
        "timestamp": event.timestamp_ms,
        "value_bytes": len(event.value),
        "unknown_fields": [name[:SHOWN_CHARS] for name in sorted(report.unknown_names)[:SHOWN_FIELDS]],
    }
    return content_response(request.request_id, json.dumps(document).encode())


def _event_id(
    request: HttpRequest,
    project_id: str,
    task_id: str,
    body: bytes,
    received_at_us: int,
    signed: RequestSignature | None,
) -> tuple[str, bool]:
    """The event id of a report, and whether an Idempotency-Key made it.

    A retry has the same id: that of the Idempotency-Key, else of the caller's own X-Request-Id and the body, else of
    the request's signature. In a signed request a header counts only if the signature covers it. Without all of these
    the id is new.

    Raises:
        ApiError: MALFORMED, when Idempotency-Key is not valid.
    """
    raw = request.headers.raw
    key = raw.get(b"idempotency-key")
    if key is not None and (signed is None or "idempotency-key" in signed.names):
        if not _KEY.fullmatch(key):
            raise ApiError(MALFORMED, "Idempotency-Key must be 1 to 255 visible ASCII characters without spaces")
        return idempotent_event_id(project_id, task_id, key.decode("ascii")), True
    request_id = request.given_request_id
    if request_id is not None and (signed is None or "x-request-id" in signed.names):
        return resent_event_id(project_id, task_id, request_id, body), False
    if signed is not None:
        return idempotent_event_id(project_id, task_id, signed.key), False
    return new_event_id(received_at_us), False


def traceparent(request: HttpRequest) -> bytes | None:
    """The caller's W3C trace context, if the request carries a well-formed one."""
    value = request.headers.raw.get(b"traceparent")
    return value if value is not None and _TRACEPARENT.fullmatch(value) else None


@functools.lru_cache(4096)
def read_task_id(segment: bytes) -> str:
    """The task id in its percent-encoded segment of the path.

    Raises:
        ApiError: MALFORMED, when the id is too long, is not UTF-8, or has control characters.
    """
    try:
        task_id = urllib.parse.unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(MALFORMED, "the task id in the path is not valid UTF-8") from error
    if problem := task_id_problem(task_id):
        raise ApiError(MALFORMED, f"the task id in the path {problem}")
    return task_id


def task_id_problem(task_id: str) -> str | None:
    """What is wrong with a task id, or None. The specification allows the empty id."""
    if len(task_id) > TASK_ID_CHARS:
        return f"has {len(task_id)} characters; the maximum is {TASK_ID_CHARS}"
    if any(character < " " or character == "\x7f" for character in task_id):
        return "has control characters"
    return None

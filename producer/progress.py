"""The endpoint that takes one report: checks it, produces it, and answers when Kafka has it. It knows no server."""

from __future__ import annotations

import functools
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Final

from producer.acks import AckedProducer
from producer.admission import TASK_ID_CHARS, Limits
from producer.callers.row import Row, demand
from producer.errors import NotAcked, RecordTooLarge
from producer.event import EventWriter, Receipt, fresh_event_id, same_event_id
from producer.incoming import Answer, Incoming
from producer.report import read_report
from schemas.api_error import MALFORMED, TOO_LARGE, UNAVAILABLE, UNSUPPORTED_MEDIA, ApiError
from schemas.caller import Role

_EMPTY: Final = (b"content-length", b"0")
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class ProgressEndpoint:
    """PUT /v3/tasks/{task_id}/progress."""

    def __init__(
        self, callers: Row, writer: EventWriter, acks: AckedProducer, limits: Limits, clock: Callable[[], int] = now_us
    ) -> None:
        self._callers = callers
        self._writer = writer
        self._acks = acks
        self._limits = limits
        self._clock = clock
        self.unknown_fields = 0

    async def put(self, incoming: Incoming, task_segment: bytes) -> Answer:
        """200 without a body once Kafka has the report; the receipt stands in the headers.

        Raises:
            ApiError: everything else.
        """
        body = await incoming.body(self._limits.body_bytes)
        received_at_us = self._clock()
        caller = await self._callers.authenticate(incoming.to_authenticate(body))
        demand(caller, Role.REPORT)
        check_media(incoming.headers.raw.get(b"content-type", b"application/json"))
        task_id = read_task_id(task_segment)
        report = read_report(body)
        self.unknown_fields += report.unknown_fields
        key = idempotency_key(incoming)
        name = same_event_id(caller.project_id, task_id, key) if key else fresh_event_id(received_at_us)
        receipt = Receipt(caller.project_id, task_id, name, received_at_us, traceparent(incoming))
        try:
            ack = await self._acks.send(self._writer.write(report, receipt))
        except RecordTooLarge as error:
            raise ApiError(TOO_LARGE, str(error)) from error
        except NotAcked as error:
            raise ApiError(UNAVAILABLE, str(error), retry_after_s=self._limits.retry_after_s) from error
        named = name.encode()
        return Answer(
            200,
            [
                _EMPTY,
                (b"x-request-id", incoming.request_id.encode() or named),
                (b"x-event-id", named),
                (b"x-partition", b"%d" % ack.partition),
                (b"x-offset", b"%d" % ack.offset),
            ],
        )


def idempotency_key(incoming: Incoming) -> str | None:
    """What makes a retried report recognisable: Idempotency-Key, else the caller's own X-Request-Id.

    Raises:
        ApiError: it is too long to be a key.
    """
    key = incoming.headers.raw.get(b"idempotency-key")
    if key is None:
        return incoming.own_request_id
    if not 0 < len(key) <= 255:
        raise ApiError(MALFORMED, "Idempotency-Key must have 1 to 255 characters")
    return key.decode("latin-1")


def traceparent(incoming: Incoming) -> bytes | None:
    """The caller's W3C trace context, if it sent one of the right form."""
    value = incoming.headers.raw.get(b"traceparent")
    return value if value is not None and _TRACEPARENT.fullmatch(value) else None


@functools.lru_cache(1024)
def read_task_id(segment: bytes) -> str:
    """The task's id from its segment of the path.

    Raises:
        ApiError: it is too long, no UTF-8, or has control characters.
    """
    try:
        task_id = urllib.parse.unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(MALFORMED, "the task id in the path is not UTF-8") from error
    if len(task_id) > TASK_ID_CHARS:
        raise ApiError(MALFORMED, f"the task id has {len(task_id)} characters; {TASK_ID_CHARS} is the most")
    if any(character < " " or character == "\x7f" for character in task_id):
        raise ApiError(MALFORMED, "the task id has control characters")
    return task_id


@functools.lru_cache(256)
def check_media(content_type: bytes) -> None:
    """Let JSON pass.

    Raises:
        ApiError: UNSUPPORTED_MEDIA.
    """
    media, *parameters = (part.strip().lower() for part in content_type.decode("latin-1").split(";"))
    charset = next((each[8:].strip('"') for each in parameters if each.startswith("charset=")), "utf-8")
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise ApiError(UNSUPPORTED_MEDIA, f"the Content-Type is {media[:100]!r}; send application/json")
    if charset not in _CHARSETS:
        raise ApiError(UNSUPPORTED_MEDIA, f"the charset is {charset[:100]!r}; JSON is UTF-8")

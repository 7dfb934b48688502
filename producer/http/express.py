"""The short way of a plain report: a whole request in, an answer out when Kafka has it, and no task in between.

It decides nothing of its own: what is not plain goes the ordinary way through `producer.app`, and both share every
check. It knows no server; who answers is a `ExpressResponder`.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.admission.admission import Admission
from taskstream.producer.errors import NotAcked, RecordTooLarge
from taskstream.producer.http.progress_endpoint import ProgressEndpoint
from taskstream.producer.http.refusals import Refusals
from taskstream.producer.http.request import EdgeRequest, Message
from taskstream.schemas.http.api_error import TOO_LARGE, ApiError

_PLAIN_URL: Final = re.compile(rb"/v3/tasks/([!\"$-.0->@-~]*)/progress")  # no slash, query or fragment within
_MOST_LENGTH_DIGITS: Final = 9
_NOT_PLAIN: Final = frozenset({b"authorization", b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"})
_TAKEN: Final = b"content-length: 0\r\nx-request-id: %b\r\nx-event-id: %b\r\nx-partition: %d\r\nx-offset: %d\r\n"


class ExpressResponder(Protocol):
    """Whom the answer goes to; it may be gone by then."""

    def send(self, status: int, head: bytes, body: bytes = b"") -> None:
        """Answer, once. `head` is header lines, each with its end."""
        ...


class ExpressLane:
    """Takes reports whose caller is known without asking anybody, and whose body is small and as it is."""

    def __init__(
        self, admission: Admission, progress: ProgressEndpoint, acks: AckedProducer, refusals: Refusals, body_bytes: int
    ) -> None:
        self.admission = admission
        self.progress = progress
        self.acks = acks
        self.refusals = refusals
        self._body_bytes = body_bytes

    def begin(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> ExpressReport | None:
        """To be given its body when that is there, or None: the request must go the ordinary way."""
        if method != b"PUT" or (match := _PLAIN_URL.fullmatch(url)) is None:
            return None
        request = EdgeRequest("PUT", url, b"", headers, _no_body)
        raw = request.headers.raw
        length = raw.get(b"content-length")
        if length is None or len(length) > _MOST_LENGTH_DIGITS or int(length) > self._body_bytes:
            return None
        if not _NOT_PLAIN.isdisjoint(raw) or (project_id := self.admission.known_project(request)) is None:
            return None
        return ExpressReport(self, request, match[1], project_id)


class ExpressReport:
    """One report on the short way."""

    __slots__ = ("_event_id", "_lane", "_project_id", "_reply", "_request", "_segment")

    _reply: ExpressResponder
    _event_id: bytes

    def __init__(self, lane: ExpressLane, request: EdgeRequest, segment: bytes, project_id: str) -> None:
        self._lane = lane
        self._request = request
        self._segment = segment
        self._project_id = project_id

    def complete(self, body: bytes, reply: ExpressResponder) -> None:
        """Take the body; the reply is sent now or later."""
        lane = self._lane
        self._reply = reply
        try:
            event = lane.progress.event(self._request, self._segment, self._project_id, body)[2]
            self._event_id = event.headers[0][1]  # type: ignore[assignment] # ce_id, in bytes
            lane.admission.admit(self._project_id, 1)
            lane.acks.produce(event, self)
        except ApiError as error:
            self._refuse(error)
        except NotAcked as error:
            self.failed(error)

    def acked(self, partition: int, offset: int) -> None:
        """See `taskstream.producer.acks.delivery.Waiter`."""
        self._lane.admission.counts.taken += 1
        name = self._event_id
        self._reply.send(200, _TAKEN % (self._request.request_id.encode() or name, name, partition, offset))

    def failed(self, failure: NotAcked) -> None:
        """See `taskstream.producer.acks.delivery.Waiter`."""
        if isinstance(failure, RecordTooLarge):
            self._refuse(ApiError(TOO_LARGE, str(failure)))
        else:
            self._refuse(self._lane.admission.unavailable(str(failure)))

    def _refuse(self, error: ApiError) -> None:
        answer = self._lane.refusals.answer(error, self._request)
        head = b"".join(b"%b: %b\r\n" % pair for pair in answer.headers)
        self._reply.send(answer.status, head, answer.body)


async def _no_body() -> Message:
    raise NotImplementedError("on the short way the body comes whole")

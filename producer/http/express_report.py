"""The fast path of a plain report: a whole request in, a response out when Kafka has acknowledged, no task in between.

Every check is shared with the ordinary path through `producer.http.application`, which serves all other requests. This
file knows no server; the response goes to an `ExpressResponder`.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.admission.admission import UNAUTHENTICATED_BYTES, Admission
from taskstream.producer.admission.quota import quota_cost
from taskstream.producer.callers.signed_head import OF_EACH_REQUEST, RequestSignature, SignedHead
from taskstream.producer.errors import NotAcked
from taskstream.producer.http.progress_endpoint import RECEIPT_LINES, ProgressEndpoint, ReportHead, report_head
from taskstream.producer.http.refusals import Refusals
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.http.response import header_lines

_PLAIN_URL: Final = re.compile(rb"/v3/tasks/([!\"$-.0->@-~]*)/progress")  # no slash, query or fragment within
_LENGTH_DIGITS: Final = 9
_NOT_PLAIN: Final = frozenset({b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"})


class ExpressResponder(Protocol):
    """Writes the response of one request; the caller may have disconnected by then."""

    def send(self, status: int, head: bytes, body: bytes = b"") -> None:
        """Write the response; called once. `head` is header lines, each with its end."""
        ...


class ExpressLane:
    """Accepts reports whose caller is known without waiting, and whose body is small and has no content encoding.

    That is a caller whose token is in a token file or was validated shortly before, or who signs its requests.
    """

    def __init__(
        self, admission: Admission, progress: ProgressEndpoint, acks: AckedProducer, refusals: Refusals, body_bytes: int
    ) -> None:
        self.admission = admission
        self.progress = progress
        self.acks = acks
        self.refusals = refusals
        self.body_bytes = body_bytes

    def begin(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> ExpressReport | None:
        """The report, to be completed with its body; None when the request must take the ordinary path."""
        if method != b"PUT" or (match := _PLAIN_URL.fullmatch(url)) is None:
            return None
        request = HttpRequest("PUT", url, b"", headers)
        raw = request.headers.raw
        length = raw.get(b"content-length")
        if length is None or len(length) > _LENGTH_DIGITS or int(length) > self.body_bytes:
            return None
        if not _NOT_PLAIN.isdisjoint(raw):
            return None
        if b"authorization" in raw:
            return SignedReport(self, request, match[1]) if self.admission.is_signed(request, int(length)) else None
        if (project_id := self.admission.known_project(request)) is None:
            return None
        return ExpressReport(self, request, match[1], project_id)


class ExpressReport:
    """One report on the fast path; the `Waiter` of its own acknowledgement."""

    __slots__ = ("_event_id", "_head", "_lane", "_project_id", "_request", "_responder", "_segment")

    _event_id: bytes
    _responder: ExpressResponder

    def __init__(
        self,
        lane: ExpressLane,
        request: HttpRequest,
        segment: bytes,
        project_id: str,
        head: ReportHead | None = None,
    ) -> None:
        """head: of the request, if it is known already."""
        self._lane = lane
        self._head = head
        self._request = request
        self._segment = segment
        self._project_id = project_id

    def again(self, changed: list[tuple[bytes, bytes]], body_bytes: int) -> ExpressReport | None:
        """The report of a later request with the same head but for the values of these headers; its token is checked.

        None: the request must be parsed.
        """
        lane = self._lane
        request = self._request.again(changed)
        if body_bytes > lane.body_bytes or (project_id := lane.admission.known_project(request)) is None:
            return None
        return ExpressReport(lane, request, self._segment, project_id, _head_of_repetition(self._head, changed))

    def complete(self, body: bytes, responder: ExpressResponder) -> None:
        """Produce the report of this body; the response is sent now or later."""
        self._responder = responder
        self._produce(body, None)

    def _produce(self, body: bytes, signature: RequestSignature | None) -> None:
        lane = self._lane
        try:
            head = self._head
            if head is None:
                head = self._head = report_head(self._request, self._segment)
            _, receipt, event = lane.progress.event(self._request, head, self._project_id, body, signature)
        except ApiError as error:
            self._refuse(lane.admission.charged_refusal(self._project_id, error, quota_cost(1, len(body))))
            return
        try:
            self._event_id = event.headers[0][1]  # type: ignore[assignment] # ce_id, in bytes
            lane.admission.admit(self._project_id, len(body))
            lane.admission.admit_task(self._project_id, event.key)
            if receipt.has_key:
                lane.progress.require_same_report(receipt, event)
            lane.acks.produce(event, self)
        except ApiError as error:
            self._refuse(error)
        except NotAcked as error:
            self.failed(error)

    def acked(self, partition: int, offset: int) -> None:
        """See `taskstream.producer.acks.delivery.Waiter`."""
        self._lane.admission.counts.accepted += 1
        event_id, given = self._event_id, self._request.given_request_id
        request_id = event_id if given is None else given.encode()
        self._responder.send(200, RECEIPT_LINES % (request_id, event_id, partition, offset))

    def failed(self, failure: NotAcked) -> None:
        """See `taskstream.producer.acks.delivery.Waiter`."""
        self._refuse(self._lane.admission.not_acked(failure))

    def _refuse(self, error: ApiError) -> None:
        response = self._lane.refusals.response(error, self._request)
        self._responder.send(response.status, header_lines(response.headers), response.body)


class SignedReport(ExpressReport):
    """A report that is signed with an access key: its caller is known once its body is complete."""

    __slots__ = ("_signed_head",)

    def __init__(
        self,
        lane: ExpressLane,
        request: HttpRequest,
        segment: bytes,
        head: ReportHead | None = None,
        signed_head: SignedHead | None = None,
    ) -> None:
        """head, signed_head: of the request, if they are known already."""
        super().__init__(lane, request, segment, "", head)
        self._signed_head = signed_head

    def again(self, changed: list[tuple[bytes, bytes]], body_bytes: int) -> SignedReport | None:
        """See `ExpressReport.again`. The signature is checked when the body is complete.

        None also after a signature that was not valid, and where it covers Content-Length.
        """
        lane, signed = self._lane, self._signed_head
        if signed is None or "content-length" in signed.signature.names:
            return None
        if body_bytes > min(lane.body_bytes, UNAUTHENTICATED_BYTES):
            return None
        request = self._request.again(changed)
        same = all(name in OF_EACH_REQUEST for name, _ in changed)
        head = _head_of_repetition(self._head, changed)
        return SignedReport(lane, request, self._segment, head, signed if same else None)

    def complete(self, body: bytes, responder: ExpressResponder) -> None:
        """Check the signature, and produce the report; the response is sent now or later."""
        self._responder = responder
        try:
            signed = self._lane.admission.signed_caller(self._request, body, self._signed_head)
        except ApiError as error:
            self._refuse(error)
            return
        self._project_id, self._signed_head = signed.caller.project_id, signed.head
        self._produce(body, signed.signature)


def _head_of_repetition(head: ReportHead | None, changed: list[tuple[bytes, bytes]]) -> ReportHead | None:
    """What a repeated head says: traceparent is the only header of it that may have changed."""
    return None if any(name == b"traceparent" for name, _ in changed) else head

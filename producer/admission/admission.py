"""What precedes every endpoint that accepts reports: reading the body, checking the caller, quotas and load limits.

It knows no report and produces nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.admission.body_encoding import decoded_body
from taskstream.producer.admission.counts import EdgeCounts
from taskstream.producer.admission.idempotency_keys import IdempotencyKeys
from taskstream.producer.admission.limits import Limits
from taskstream.producer.admission.live_tasks import LiveTasks
from taskstream.producer.admission.quota import BYTES_PER_REPORT, Quotas, quota_cost
from taskstream.producer.admission.readiness import Readiness
from taskstream.producer.callers.authenticator_chain import AuthenticatorChain
from taskstream.producer.callers.signature import SignedCaller
from taskstream.producer.callers.signed_head import SignedHead
from taskstream.producer.errors import NotAcked, RecordTooLarge
from taskstream.schemas.http.api_error import (
    KEY_REUSED,
    THROTTLED,
    TOO_LARGE,
    TOO_MANY_TASKS,
    UNAUTHENTICATED,
    UNAVAILABLE,
    ApiError,
)
from taskstream.schemas.http.caller import TOKEN_CHARS, Caller, Role, identify_caller
from taskstream.schemas.http.request import CLOSE, HttpRequest

UNAUTHENTICATED_BYTES: Final = 65_536
"""The largest body that is read before its caller is known."""
UNVERIFIED_BODIES: Final = 32
"""How many larger bodies are read at once to verify their signature."""
TASKS_RETRY_AFTER_S: Final = 60


class AuthenticatedBody(NamedTuple):
    """The body of a request whose caller may report."""

    project_id: str
    """The caller's project."""
    body: bytes
    """Within its limit, without its content encoding."""


class Admission:
    """Decides which requests the edge accepts."""

    def __init__(
        self,
        callers: AuthenticatorChain,
        acks: AckedProducer,
        readiness: Readiness,
        limits: Limits,
        counts: EdgeCounts,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._callers = callers
        self._acks = acks
        self._readiness = readiness
        self._limits = limits
        self._quotas = Quotas(limits.reports_per_s, limits.reports_burst)
        self._tasks = LiveTasks(limits.tasks_per_project)
        self._unverified = 0
        """Bodies beyond UNAUTHENTICATED_BYTES that are being read."""
        self._keys = IdempotencyKeys()
        self._clock_s = clock_s
        self.counts = counts

    async def read_body(self, request: HttpRequest, limit_bytes: int) -> AuthenticatedBody:
        """Read the body and check that the caller may report.

        Raises:
            ApiError: the body is too large or not decodable, the caller is unknown or lacks the role, or too many large
                bodies wait for the check of their signature.
            Disconnected: the caller closed the connection.
        """
        caller, body = await self._caller_and_body(request, limit_bytes)
        caller.require_role(Role.REPORT)
        try:
            return AuthenticatedBody(caller.project_id, decoded_body(request, body, limit_bytes))
        except ApiError as error:
            cost = quota_cost(1, limit_bytes if error.problem.kind is TOO_LARGE else len(body))
            raise self.charged_refusal(caller.project_id, error, cost) from error

    def known_project(self, request: HttpRequest) -> str | None:
        """The project of a caller that is known by its token without waiting and may report; None: use `read_body`."""
        token = request.headers.raw.get(b"x-auth-token")
        if token is None or len(token) > TOKEN_CHARS:
            return None
        caller = self._callers.known(token)
        return caller.project_id if caller is not None and caller.may(Role.REPORT) else None

    def is_signed(self, request: HttpRequest, body_bytes: int) -> bool:
        """Whether `signed_caller` can say who calls; False: use `read_body`."""
        raw = request.headers.raw
        if body_bytes > UNAUTHENTICATED_BYTES or b"x-auth-token" in raw:
            return False
        return self._callers.is_signed(raw.get(b"authorization", b""))

    def signed_caller(self, request: HttpRequest, body: bytes, head: SignedHead | None) -> SignedCaller:
        """Who signed a request that `is_signed`, and may report. head: see `SignatureKeys.signed`.

        Raises:
            ApiError: the signature is not valid, or its caller lacks the role.
        """
        signed = self._callers.signed(request, body, head)
        if signed is None:
            raise ApiError(UNAUTHENTICATED, "the request is not signed")
        signed.caller.require_role(Role.REPORT)
        return signed

    def admit(self, project_id: str, body_bytes: int) -> None:
        """Admit one report of a project, whose inflated body has so many bytes.

        Raises:
            ApiError: THROTTLED when the project has exhausted its quota; UNAVAILABLE as `require_capacity` does.
        """
        self.require_capacity(1)
        self.charge(project_id, 1 if body_bytes <= BYTES_PER_REPORT else quota_cost(1, body_bytes))

    def admit_task(self, project_id: str, key: str) -> None:
        """Admit a report of a task, by the event's key, and remember the task.

        Raises:
            ApiError: TOO_MANY_TASKS when the task is new and its project has as many live tasks as its limit.
        """
        if self._tasks.is_current(key) or self._tasks.admit(project_id, key, self._clock_s()):
            return
        detail = (
            f"project {project_id} has {self._limits.tasks_per_project} live tasks, and no new one is accepted beyond "
            "that; a task is live until it has sent no report for several days. Send fewer tasks, or ask the operator "
            "for a higher limit"
        )
        raise ApiError(TOO_MANY_TASKS, detail, retry_after_s=TASKS_RETRY_AFTER_S)

    def require_capacity(self, reports: int) -> None:
        """Return when this many reports can be produced now.

        Raises:
            ApiError: UNAVAILABLE when Kafka does not acknowledge at present, the edge's clock is wrong, or too many
                reports await their acknowledgement.
        """
        if self._readiness.refusal is not None:
            raise self.unavailable(self._readiness.refusal)
        if self._acks.in_flight + reports > self._limits.in_flight:
            raise self.unavailable("too many reports in flight")

    def charge(self, project_id: str, reports: int) -> None:
        """Consume this many reports of the project's quota, see `quota_cost`.

        Raises:
            ApiError: THROTTLED when the project has exhausted its quota; nothing is consumed.
        """
        wait_s = self._quotas.consume(project_id, reports, self._clock_s())
        if wait_s:
            detail = f"project {project_id} may send {self._limits.reports_per_s:g} reports per second"
            raise ApiError(THROTTLED, detail, retry_after_s=wait_s)

    def require_same_report(self, project_id: str, event_id: str, report: bytes) -> None:
        """Return when the idempotency key of this event came with no other report, as far as this process remembers.

        report: the report's fields as the event holds them.

        Raises:
            ApiError: KEY_REUSED.
        """
        if not self._keys.names(project_id, event_id, report, self._clock_s()):
            detail = (
                "this idempotency key came with another report of the task before; give each report a key of its own"
            )
            raise ApiError(KEY_REUSED, detail)

    def charged_refusal(self, project_id: str, refusal: ApiError, reports: int = 1) -> ApiError:
        """The error of refused reports, which count as reports: THROTTLED when the project has exhausted its quota."""
        try:
            self.charge(project_id, reports)
        except ApiError as throttled:
            return throttled
        return refusal

    async def _caller_and_body(self, request: HttpRequest, limit_bytes: int) -> tuple[Caller, bytes]:
        """Who calls, and the body. A large body is read once its caller is known, or while few others are."""
        declared = request.declared_bytes
        if declared is not None and not UNAUTHENTICATED_BYTES < declared <= limit_bytes:
            body = await request.body(limit_bytes)
            return await identify_caller(request, body, self._callers), body
        if b"authorization" not in request.headers.raw:
            try:
                caller = await identify_caller(request, b"", self._callers)
            except ApiError as error:
                raise error.with_headers(*CLOSE) from error
            return caller, await request.body(limit_bytes)
        if self._unverified >= UNVERIFIED_BODIES:
            raise self.unavailable("too many large signed bodies are being read").with_headers(*CLOSE)
        self._unverified += 1
        try:
            body = await request.body(limit_bytes)
            return await identify_caller(request, body, self._callers), body
        finally:
            self._unverified -= 1

    def not_acked(self, failure: NotAcked) -> ApiError:
        """The error of a report that Kafka did not acknowledge: TOO_LARGE if a retry cannot succeed, or UNAVAILABLE."""
        if isinstance(failure, RecordTooLarge):
            return ApiError(TOO_LARGE, str(failure))
        return self.unavailable(str(failure))

    def unavailable(self, detail: str) -> ApiError:
        """The error that asks the caller to retry later."""
        return ApiError(UNAVAILABLE, detail, retry_after_s=self._limits.retry_after_s)

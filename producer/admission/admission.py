"""What precedes every endpoint that accepts reports: reading the body, checking the caller, quotas and load limits.

It knows no report and produces nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.admission.body_encoding import decoded_body
from taskstream.producer.admission.counts import EdgeCounts
from taskstream.producer.admission.limits import Limits
from taskstream.producer.admission.quota import Quotas
from taskstream.producer.admission.readiness import Readiness
from taskstream.producer.callers.authenticator_chain import AuthenticatorChain
from taskstream.producer.errors import NotAcked, RecordTooLarge
from taskstream.schemas.http.api_error import THROTTLED, TOO_LARGE, UNAVAILABLE, ApiError
from taskstream.schemas.http.caller import TOKEN_CHARS, Role, identify_caller
from taskstream.schemas.http.request import HttpRequest


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
        self._clock_s = clock_s
        self.counts = counts

    async def read_body(self, request: HttpRequest, limit_bytes: int) -> AuthenticatedBody:
        """Read the body and check that the caller may report.

        Raises:
            ApiError: the body is too large or not decodable, or the caller is unknown or lacks the role.
            Disconnected: the caller closed the connection.
        """
        body = await request.body(limit_bytes)
        caller = await identify_caller(request, body, self._callers)
        caller.require_role(Role.REPORT)
        return AuthenticatedBody(caller.project_id, decoded_body(request, body, limit_bytes))

    def known_project(self, request: HttpRequest) -> str | None:
        """The caller's project, if a token file has the token and its caller may report; None: use `read_body`."""
        token = request.headers.raw.get(b"x-auth-token")
        if token is None or len(token) > TOKEN_CHARS:
            return None
        caller = self._callers.known(token)
        return caller.project_id if caller is not None and caller.may(Role.REPORT) else None

    def admit(self, project_id: str, reports: int) -> None:
        """Admit this many reports of a project, or none of them.

        Raises:
            ApiError: THROTTLED when the project has exhausted its quota; UNAVAILABLE as `require_capacity` does.
        """
        self.require_capacity(reports)
        self.charge(project_id, reports)

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
        """Consume this many reports of the project's quota.

        Raises:
            ApiError: THROTTLED when the project has exhausted its quota; nothing is consumed.
        """
        wait_s = self._quotas.consume(project_id, reports, self._clock_s())
        if wait_s:
            detail = f"project {project_id} may send {self._limits.reports_per_s:g} reports per second"
            raise ApiError(THROTTLED, detail, retry_after_s=wait_s)

    def charged_refusal(self, project_id: str, refusal: ApiError, reports: int = 1) -> ApiError:
        """The error of refused reports, which count as reports: THROTTLED when the project has exhausted its quota."""
        try:
            self.charge(project_id, reports)
        except ApiError as throttled:
            return throttled
        return refusal

    def not_acked(self, failure: NotAcked) -> ApiError:
        """The error of a report that Kafka did not acknowledge: TOO_LARGE if a retry cannot succeed, or UNAVAILABLE."""
        if isinstance(failure, RecordTooLarge):
            return ApiError(TOO_LARGE, str(failure))
        return self.unavailable(str(failure))

    def unavailable(self, detail: str) -> ApiError:
        """The error that asks the caller to retry later."""
        return ApiError(UNAVAILABLE, detail, retry_after_s=self._limits.retry_after_s)

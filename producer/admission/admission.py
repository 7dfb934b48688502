"""What comes before any endpoint that takes reports: the body, the caller, the role, the room that is left.

It knows no report and produces nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.admission.limits import TOKEN_CHARS, Limits
from taskstream.producer.admission.quota import Quotas
from taskstream.producer.callers.authenticator_chain import AuthenticatorChain, demand
from taskstream.producer.http.body_encoding import plain_body
from taskstream.producer.http.counts import EdgeCounts
from taskstream.producer.http.readiness import Readiness
from taskstream.producer.http.request import EdgeRequest
from taskstream.schemas.http.api_error import THROTTLED, UNAVAILABLE, ApiError
from taskstream.schemas.http.caller import Role


class Admitted(NamedTuple):
    """A request that may go on."""

    project_id: str
    body: bytes
    """Within its bound, without its content encoding."""


class Admission:
    """Lets requests in."""

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

    async def take(self, request: EdgeRequest, limit_bytes: int) -> Admitted:
        """The body and whose it is.

        Raises:
            ApiError: too large, not allowed, not readable.
            Disconnected: the caller went away.
        """
        body = await request.body(limit_bytes)
        caller = await self._callers.authenticate(request.to_authenticate(body))
        demand(caller, Role.REPORT)
        return Admitted(caller.project_id, plain_body(request, body, limit_bytes))

    def known_project(self, request: EdgeRequest) -> str | None:
        """Whose request it is, if that is known without asking anybody and they may report; None: ask `take`."""
        token = request.headers.raw.get(b"x-auth-token")
        if token is None or len(token) > TOKEN_CHARS:
            return None
        caller = self._callers.known(token)
        return caller.project_id if caller is not None and caller.may(Role.REPORT) else None

    def admit(self, project_id: str, reports: int) -> None:
        """Let so many reports through, or none of them.

        Raises:
            ApiError: THROTTLED when the project has had its share; UNAVAILABLE when Kafka is known not to acknowledge,
                or too much is on its way to it already.
        """
        if self._readiness.kafka is not None:
            raise self.unavailable(f"Kafka does not acknowledge: {self._readiness.kafka}")
        if self._acks.in_flight + reports > self._limits.in_flight:
            raise self.unavailable("too many reports in flight")
        wait_s = self._quotas.take(project_id, reports, self._clock_s())
        if wait_s:
            detail = f"project {project_id} may send {self._limits.reports_per_s:g} reports a second"
            raise ApiError(THROTTLED, detail, retry_after_s=wait_s)

    def unavailable(self, detail: str) -> ApiError:
        """The refusal that asks to come back."""
        return ApiError(UNAVAILABLE, detail, retry_after_s=self._limits.retry_after_s)

"""Error responses of the edge: counted, and logged at a bounded rate. No header of a request is logged."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from taskstream.producer.admission.counts import EdgeCounts
from taskstream.schemas.http.api_error import ApiError, ProblemDetails
from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.http.response import HttpResponse, problem_response

LINES_PER_S = 10
_log = structlog.get_logger("taskstream.edge")


class Refusals:
    """Makes the error responses of every endpoint."""

    def __init__(self, counts: EdgeCounts) -> None:
        self._counts = counts
        self._log = RefusalLog()

    def response(self, error: ApiError, request: HttpRequest) -> HttpResponse:
        """Count and log the error; return its response."""
        problem = error.problem
        self._counts.refused[problem.kind] += 1
        self._log.write(problem, request)
        return problem_response(problem, request.request_id)


class RefusalLog:
    """Logs at most LINES_PER_S refusals per second; the next line then says how many were left out."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def write(self, problem: ProblemDetails, request: HttpRequest) -> None:
        """Write one line, or count it as left out."""
        second = int(self._clock_s())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= LINES_PER_S:
            self._left_out += 1
            return
        self._lines += 1
        left_out, self._left_out = self._left_out, 0
        _log.info(
            "refused",
            status=problem.kind.status,
            code=problem.kind.code,
            detail=problem.detail[:300],
            method=request.method,
            path=request.path[:300].decode("latin-1"),
            request_id=request.request_id,
            left_out=left_out,
        )

"""A refusal on its way out: counted, told to the log at a bounded rate, and made an answer. It never sees a token."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from taskstream.producer.http.counts import EdgeCounts
from taskstream.producer.http.request import EdgeRequest, EdgeResponse
from taskstream.schemas.http.api_error import ApiError, ErrorAnswer

LINES_PER_S = 10
_log = structlog.get_logger("taskstream.edge")


class Refusals:
    """What every endpoint's refusals go through."""

    def __init__(self, counts: EdgeCounts) -> None:
        self._counts = counts
        self._log = RefusalLog()

    def answer(self, error: ApiError, request: EdgeRequest) -> EdgeResponse:
        """The answer; it was counted and logged."""
        told = error.answer
        self._counts.refuse(told.kind)
        self._log.tell(told, request)
        body = told.body(request.name())
        headers = [(name.encode(), value.encode()) for name, value in told.wire_headers(request.name())]
        return EdgeResponse(told.kind.status, [*headers, (b"content-length", b"%d" % len(body))], body)


class RefusalLog:
    """At most LINES_PER_S lines a second; the first line of a later second says how many were left out."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def tell(self, answer: ErrorAnswer, request: EdgeRequest) -> None:
        """Write the line, or count it as left out."""
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
            status=answer.kind.status,
            code=answer.kind.code,
            detail=answer.detail[:300],
            method=request.method,
            path=request.path[:300].decode("latin-1"),
            request_id=request.name(),
            left_out=left_out,
        )

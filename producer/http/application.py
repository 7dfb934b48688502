"""The edge as a plain ASGI application: which request goes where, and how every refusal is told.

It knows no server and reads no settings; what it is made of is given to it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.http.batch_endpoint import BatchEndpoint
from taskstream.producer.http.express import ExpressLane
from taskstream.producer.http.metrics import CONTENT_TYPE, EdgeMetrics
from taskstream.producer.http.openapi import openapi_document
from taskstream.producer.http.progress_endpoint import ProgressEndpoint
from taskstream.producer.http.readiness import Readiness, ReadinessWatch
from taskstream.producer.http.refusals import Refusals
from taskstream.producer.http.request import Disconnected, EdgeRequest, EdgeResponse, Receive, Scope, Send
from taskstream.schemas.http.api_error import METHOD_NOT_ALLOWED, NOT_FOUND, ApiError

_PREFIX: Final = b"/v3/tasks/"
_SUFFIX: Final = b"/progress"
Endpoint = Callable[[EdgeRequest], Awaitable[EdgeResponse]]


class Edge:
    """`scope, receive, send`: the application that a server runs."""

    def __init__(
        self,
        progress: ProgressEndpoint,
        batch: BatchEndpoint,
        acks: AckedProducer,
        readiness: Readiness,
        watch: ReadinessWatch,
        metrics: EdgeMetrics,
        refusals: Refusals,
        express: ExpressLane | None = None,
    ) -> None:
        self.express = express
        """What a server may give plain reports to, instead of calling the application."""
        self._progress = progress
        self._batch = batch
        self._acks = acks
        self._readiness = readiness
        self._watch = watch
        self._metrics = metrics
        self._refusals = refusals
        self._fixed: dict[bytes, tuple[str, Endpoint]] = {
            b"/v3/progress": ("POST", batch.post),
            b"/healthz": ("GET, HEAD", self._healthz),
            b"/readyz": ("GET, HEAD", self._readyz),
            b"/metrics": ("GET, HEAD", self._expose),
            b"/openapi.json": ("GET, HEAD", self._openapi),
        }

    def drain(self) -> None:
        """Become unready; what is in flight goes on."""
        self._readiness.draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = EdgeRequest(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], receive)
        try:
            answer = await self._route(request)
        except ApiError as error:
            answer = self._refusals.answer(error, request)
        except Disconnected:
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _route(self, request: EdgeRequest) -> Awaitable[EdgeResponse]:
        path = request.path
        if path.startswith(_PREFIX) and path.endswith(_SUFFIX) and len(path) >= len(_PREFIX) + len(_SUFFIX):
            segment = path[len(_PREFIX) : -len(_SUFFIX)]
            if b"/" not in segment:
                if request.method != "PUT":
                    raise _only("PUT", request)
                return self._progress.put(request, segment)
        if path not in self._fixed:
            raise ApiError(NOT_FOUND, f"nothing is served at {path[:200].decode('latin-1')!r}")
        methods, endpoint = self._fixed[path]
        if request.method not in methods.split(", "):
            raise _only(methods, request)
        return endpoint(request)

    async def _healthz(self, request: EdgeRequest) -> EdgeResponse:
        return json_answer(200, {"status": "alive"}, request)

    async def _readyz(self, request: EdgeRequest) -> EdgeResponse:
        return json_answer(200 if self._readiness.ready else 503, self._readiness.document(), request)

    async def _openapi(self, request: EdgeRequest) -> EdgeResponse:
        return json_answer(200, openapi_document(self._batch.reports_at_most), request)

    async def _expose(self, request: EdgeRequest) -> EdgeResponse:
        text = self._metrics.exposition()
        headers = [(b"content-type", CONTENT_TYPE), (b"content-length", b"%d" % len(text))]
        return EdgeResponse(200, [*headers, (b"x-request-id", request.name().encode())], text)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            await stack.enter_async_context(self._acks)
            await stack.enter_async_context(self._watch)
            await stack.enter_async_context(self._metrics)
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def json_answer(status: int, document: object, request: EdgeRequest) -> EdgeResponse:
    """A document as it is answered."""
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return EdgeResponse(status, [*headers, (b"x-request-id", request.name().encode())], body)


def _only(allowed: str, request: EdgeRequest) -> ApiError:
    return ApiError(METHOD_NOT_ALLOWED, f"{request.method} is not served here", headers=(("allow", allowed),))

"""The edge as an ASGI application: which request goes to which endpoint. It knows no server and reads no settings."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.admission.readiness import Readiness, ReadinessWatch
from taskstream.producer.http.batch_endpoint import BatchEndpoint
from taskstream.producer.http.express_report import ExpressLane
from taskstream.producer.http.metrics import CONTENT_TYPE, EdgeMetrics
from taskstream.producer.http.openapi import openapi_document
from taskstream.producer.http.progress_endpoint import ProgressEndpoint
from taskstream.producer.http.refusals import Refusals
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.asgi import Receive, Scope, Send
from taskstream.schemas.http.request import Disconnected, HttpRequest
from taskstream.schemas.http.response import HttpResponse, content_response, send_response

_PREFIX: Final = b"/v3/tasks/"
_SUFFIX: Final = b"/progress"
Endpoint = Callable[[HttpRequest], Awaitable[HttpResponse]]


class Edge:
    """The ASGI application that a server runs."""

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
        """A server may pass plain reports to this instead of calling the application."""
        self._progress = progress
        self._batch = batch
        self._acks = acks
        self._readiness = readiness
        self._watch = watch
        self._metrics = metrics
        self._refusals = refusals
        self._fixed: dict[bytes, tuple[tuple[str, ...], Endpoint]] = {
            b"/v3/progress": (("POST",), batch.post),
            b"/healthz": (("GET", "HEAD"), self._healthz),
            b"/readyz": (("GET", "HEAD"), self._readyz),
            b"/metrics": (("GET", "HEAD"), self._expose),
            b"/openapi.json": (("GET", "HEAD"), self._openapi),
        }

    def drain(self) -> None:
        """Become unready; the requests in flight continue."""
        self._readiness.draining = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the application."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest.from_scope(scope, receive)
        try:
            response = await self._route(request)
        except ApiError as error:
            response = self._refusals.response(error, request)
        except Disconnected:
            return
        await send_response(response, send, head_only=request.method == "HEAD")

    def _route(self, request: HttpRequest) -> Awaitable[HttpResponse]:
        path = request.path
        if path.startswith(_PREFIX) and path.endswith(_SUFFIX) and len(path) >= len(_PREFIX) + len(_SUFFIX):
            segment = path[len(_PREFIX) : -len(_SUFFIX)]
            if b"/" not in segment:
                request.require_method("PUT")
                return self._progress.put(request, segment)
        if path not in self._fixed:
            raise request.not_found()
        methods, endpoint = self._fixed[path]
        request.require_method(*methods)
        return endpoint(request)

    async def _healthz(self, request: HttpRequest) -> HttpResponse:
        return _json({"status": "alive"}, request)

    async def _readyz(self, request: HttpRequest) -> HttpResponse:
        return _json(self._readiness.document(), request, 200 if self._readiness.ready else 503)

    async def _openapi(self, request: HttpRequest) -> HttpResponse:
        return _json(openapi_document(self._batch.max_reports), request)

    async def _expose(self, request: HttpRequest) -> HttpResponse:
        return content_response(request.request_id, self._metrics.exposition(), CONTENT_TYPE)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            await receive()
            await stack.enter_async_context(self._acks)
            await stack.enter_async_context(self._watch)
            await stack.enter_async_context(self._metrics)
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _json(document: Any, request: HttpRequest, status: int = 200) -> HttpResponse:
    return content_response(request.request_id, json.dumps(document).encode(), status=status)

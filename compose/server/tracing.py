"""OpenTelemetry spans of the reports that an edge accepts, exported to a collector.

It needs the extra `otel` and is imported only when tracing is enabled, so that it costs nothing otherwise. It knows
ASGI and no edge.
"""

from __future__ import annotations

import asyncio
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from taskstream.schemas.http.asgi import Application, Message, Receive, Scope, Send

_ROUTES: Final = {"PUT": "/v3/tasks/{task_id}/progress", "POST": "/v3/progress"}
_TRACEPARENT: Final = b"traceparent"
_context: Final = TraceContextTextMapPropagator()


def collector(endpoint: str) -> SpanExporter:
    """An exporter that sends spans in OTLP over HTTP to a collector, such as `http://127.0.0.1:4318`."""
    return OTLPSpanExporter(endpoint=endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces")


class TracedApplication:
    """An application with one span per request that reports; the caller's traceparent, if any, is the span's parent.

    The application sees the span as traceparent, so that the span is the parent of the record in Kafka. Construct it
    after a fork: it has a thread of its own.
    """

    def __init__(self, app: Application, exporter: SpanExporter) -> None:
        self._app = app
        self._provider = TracerProvider(resource=Resource.create({"service.name": "taskstream-edge"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("taskstream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the application."""
        if scope["type"] == "http" and scope["method"] in _ROUTES:
            await self._report(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The server cancels what runs on after "complete": before, the remaining spans are exported."""

        async def exported_first(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(self._provider.shutdown)  # within the exporter's timeout
            await send(message)

        await self._app(scope, receive, exported_first)

    async def _report(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = scope["method"]
        attributes = {"http.request.method": method, "http.route": _ROUTES[method]}
        name = f"{method} {_ROUTES[method]}"
        span = self._tracer.start_span(name, _context.extract(sent), SpanKind.SERVER, attributes)

        async def described(message: Message) -> None:
            if message["type"] == "http.response.start":
                _describe(span, message)
            await send(message)

        try:
            await self._app({**scope, "headers": _with_parent(span, scope["headers"])}, receive, described)
        finally:
            span.end()


def _with_parent(span: Span, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, with the span as traceparent."""
    carrier: dict[str, str] = {}
    _context.inject(carrier, set_span_in_context(span))
    others = [pair for pair in headers if pair[0] != _TRACEPARENT]
    return [*others, (_TRACEPARENT, carrier["traceparent"].encode("ascii"))]


def _describe(span: Span, start: Message) -> None:
    headers = dict(start["headers"])
    span.set_attribute("http.response.status_code", start["status"])
    for header, attribute in ((b"x-event-id", "taskstream.event_id"), (b"x-request-id", "taskstream.request_id")):
        if header in headers:
            span.set_attribute(attribute, headers[header].decode("latin-1"))
    if start["status"] >= 500:
        span.set_status(Status(StatusCode.ERROR))

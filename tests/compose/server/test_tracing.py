"""Spans at the end of an edge: they are exported before the server is told that the application has ended."""

from __future__ import annotations

import asyncio
from typing import Any

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from taskstream.compose.server.tracing import TracedApplication

REPORT = {"type": "http", "method": "PUT", "headers": []}


async def app(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})


def test_the_last_spans_are_exported_before_the_server_cancels_what_still_runs():
    exporter = InMemorySpanExporter()
    exported_when_told: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            exported_when_told.append(len(exporter.get_finished_spans()))

    async def receive() -> dict[str, Any]:
        return {}

    async def a_report_and_the_end() -> None:
        traced = TracedApplication(app, exporter)
        await traced(REPORT, receive, send)
        await traced({"type": "lifespan"}, receive, send)

    asyncio.run(a_report_and_the_end())
    assert exported_when_told == [1]

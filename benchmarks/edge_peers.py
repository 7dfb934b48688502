"""The servers that the edge is compared with: an empty 200 in the same server, and FastAPI with aiokafka."""

from __future__ import annotations

import sys
import time
import uuid
from contextlib import asynccontextmanager
from typing import Annotated

from taskstream.compose.server.serve import Serving, bind, serve
from taskstream.producer.events.report_validation import ProgressReport
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.ids import TableIds


async def empty(scope, receive, send):
    """Read the body and answer 200."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Short:
    """Answers 200 without ASGI, see `taskstream.compose.server.express_connection`."""

    def begin(self, _method, _url, _headers):
        return self

    def complete(self, _body, reply):
        reply.send(200, b"content-length: 0\r\n")


def fastapi(port: int, servers: str, topic: str) -> None:
    import uvicorn
    from aiokafka import AIOKafkaProducer
    from fastapi import FastAPI, Header, Response

    writer = RecordWriter(TableIds(), newest("ProgressReported"))
    held = {}

    @asynccontextmanager
    async def life(_app):
        held["producer"] = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
        await held["producer"].start()
        yield
        await held["producer"].stop()

    app = FastAPI(lifespan=life)

    async def put(task_id: str, report: ProgressReport, x_auth_token: Annotated[str, Header(min_length=1)]):  # noqa: ARG001 # as in the specification
        facts = {"event_id": str(uuid.uuid4()), "project_id": "p", "task_id": task_id}
        value = writer.write({**report.model_dump(), **facts, "received_at": time.time_ns() // 1000})
        await held["producer"].send_and_wait(topic, value, key=f"p/{task_id}".encode())
        return Response(status_code=200)

    put.__annotations__ |= {"report": ProgressReport, "x_auth_token": Annotated[str, Header(min_length=1)]}
    app.put("/v3/tasks/{task_id}/progress")(put)
    uvicorn.run(app, port=port, http="httptools", loop="uvloop", access_log=False, log_level="warning")


if __name__ == "__main__":
    if sys.argv[1] in {"empty", "short"}:
        serving = Serving(port=int(sys.argv[2]), drain_delay_s=0)
        sys.exit(serve(empty, bind(serving), serving, express=Short() if sys.argv[1] == "short" else None))
    fastapi(int(sys.argv[2]), sys.argv[3], sys.argv[4])

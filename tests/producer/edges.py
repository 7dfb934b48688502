"""A running edge for tests: the application in its server, in a thread-free child process, on a free port."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import urllib3

from taskstream.compose.kafka_client import KafkaClient
from taskstream.producer.callers.token_file import token_line
from taskstream.schemas.http.caller import Role
from tests.private_files import write_private
from tests.programs import Program, listening_address
from tests.waiting import wait_until

REPORT: dict[str, Any] = {
    "subtask_name": "MIGRATE_LINUX_FILE",
    "progress": 42,
    "replicatesize": 1_000,
    "totalsize": 100_000,
    "process_trace": "copying",
}


@dataclass(slots=True)
class RunningEdge:
    """An edge process, and a client of it."""

    url: str
    token: str
    tokens: Path
    process: Program
    http: urllib3.PoolManager
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def put(
        self, task_id: str = "t-1", body: Any = REPORT, query: str = "", **headers: str
    ) -> urllib3.BaseHTTPResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.request(
            "PUT",
            f"{self.url}/v3/tasks/{task_id}/progress{query}",
            body=encoded,
            headers={"X-Auth-Token": self.token, "Content-Type": "application/json", **sent},
            retries=False,
        )

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.http.request("GET", self.url + path, headers=headers, retries=False)

    def stop(self, timeout_s: float = 300) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


def _hours_ahead(hours: Path) -> int:
    return time.time_ns() // 1000 + int(float(hours.read_text()) * 3_600_000_000)


@contextlib.contextmanager
def running_edge(
    kafka: KafkaClient,
    prefix: str,
    folder: Path,
    *options: str,
    properties: dict[str, str] | None = None,
    tls: Mapping[str, Any] = MappingProxyType({}),
    clock_ahead: Path | None = None,
) -> Iterator[RunningEdge]:
    """`tls` has urllib3's options for TLS connections to the edge.

    clock_ahead: a file with the hours by which the edge's clock is ahead; such an edge need not be ready yet.
    """
    token = secrets.token_urlsafe(16)
    tokens = folder / f"tokens-{secrets.token_hex(4)}.jsonl"
    write_private(tokens, token_line(token, "project-1", [Role.REPORT]) + "\n")
    log = tokens.with_suffix(".log")
    settings = [item for pair in {**kafka.properties, **(properties or {})}.items() for item in ("-X", "=".join(pair))]
    arguments = ["edge", "--bootstrap-servers", kafka.bootstrap_servers, "--prefix", prefix, "--port", "0"]
    clock = None if clock_ahead is None else partial(_hours_ahead, clock_ahead)
    process = Program([*arguments, "--tokens", tokens, *settings, *options], log, clock=clock)
    try:
        url = listening_address(process, log)
        with urllib3.PoolManager(maxsize=8, timeout=120, **tls) as http:
            edge = RunningEdge(url, token, tokens, process, http, log)
            if clock_ahead is None:
                wait_until(lambda: edge.get("/readyz").status == 200)
            yield edge
    finally:
        process.kill()
        process.wait()

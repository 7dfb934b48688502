"""CPU per report of the edge by the kind of caller: a token file, a Keystone token that is cached, an access key.

Each is measured on the fast path and on the ordinary one, which a Content-Encoding asks for. The signed requests are
made before the measurement; each connection has many, because the edge accepts a signature 32 times.

TASKSTREAM_BENCH_BEFORE may name the `src` folder of another version, which is measured in turn with this one.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

from benchmarks.edge_load import BODY, TOKEN, Figures, Requests, measure, token_requests
from benchmarks.local import local_kafka, token_file
from taskstream.compose.local.ports import free_port
from taskstream.compose.topic_admin import create_topics
from taskstream.producer.callers.signature import AccessKey
from taskstream.producer.callers.signed_head import RequestSignature, SignedHead, body_hash
from taskstream.schemas.http.caller import Caller
from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.topics import Topics
from tests.private_files import write_private
from tests.producer.callers.token_service import TokenService

SECTION = "edge-callers"
SECONDS = 3.0
ROUNDS = int(os.environ.get("TASKSTREAM_BENCH_ROUNDS", "3"))
CONNECTIONS = [int(each) for each in os.environ.get("TASKSTREAM_BENCH_CONNECTIONS", "64,256").split(",")]
BEFORE = os.environ.get("TASKSTREAM_BENCH_BEFORE", "")
ACCESS, SECRET, KEYSTONE_TOKEN = "AK12345", "a secret of some length", "k" * 200
DATES = 120
"""Signatures per connection: their dates lie around now, so that the edge's clock accepts all."""
SIGNED = "host;user-agent;x-project-id;x-sdk-date"
KINDS: dict[str, Requests] = {}


def signed_requests(port: int, number: int) -> list[bytes]:
    """The same report, signed at different times with the headers that the official Go SDK signs, and Host."""
    key = AccessKey(Caller("p", frozenset()), SECRET.encode())
    now = dt.datetime.now(dt.UTC)
    dates = [f"{now + dt.timedelta(seconds=at):%Y%m%dT%H%M%SZ}" for at in range(-DATES // 2, DATES // 2)]
    path = f"/v3/tasks/t{number}/progress"
    signed = {"host": f"127.0.0.1:{port}", "user-agent": "agent/1", "x-project-id": "p", "x-sdk-date": dates[0]}
    request = HttpRequest(
        "PUT", path.encode(), b"", [(name.encode(), value.encode()) for name, value in signed.items()]
    )
    head, digest = SignedHead(request, RequestSignature(SIGNED.split(";"), "", ACCESS)), body_hash(request, BODY)
    return [
        (
            f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: agent/1\r\nX-Project-Id: p\r\n"
            f"X-Sdk-Date: {date}\r\n"
            f"Authorization: SDK-HMAC-SHA256 Access={ACCESS}, SignedHeaders={SIGNED}, "
            f"Signature={key.signature(head.strings_to_sign(date, digest)[0])}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        ).encode()
        + BODY
        for date in dates
    ]


def ordinary(port: int, number: int, requests: Requests) -> list[bytes]:
    """The same requests for the path that all other requests take."""
    head = b"Content-Encoding: identity\r\nContent-Type: "
    return [each.replace(b"Content-Type: ", head, 1) for each in requests(port, number)]


KINDS |= {
    "token file": token_requests,
    "Keystone": functools.partial(token_requests, token=KEYSTONE_TOKEN),
    "access key": signed_requests,
}


def run() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        local_kafka() as kafka,
        TokenService(**{KEYSTONE_TOKEN: "p"}) as service,
    ):
        create_topics(kafka.client.config(), Topics("bench"))
        keys, keystone = Path(folder) / "keys", Path(folder) / "keystone"
        write_private(
            keys, json.dumps({"access": ACCESS, "secret": SECRET, "project": "p", "roles": ["report"]}) + "\n"
        )
        write_private(keystone, json.dumps(service.settings))
        command = ["-m", "taskstream", "edge", "--bootstrap-servers", kafka.bootstrap_servers, "--prefix", "bench"]
        command += ["--tokens", str(token_file(Path(folder), TOKEN)), "--keys", str(keys), "--keystone", str(keystone)]
        for connections in CONNECTIONS:
            compare([*command, "--rate", "0"], connections)


def compare(command: list[str], connections: int) -> None:
    """Measure every variant in every round, so that other load of the machine affects all; print medians and ratios."""
    rounds = []
    for _ in range(ROUNDS):
        rounds.append({name: measured(command, connections, requests, src) for name, requests, src in variants()})
        print(f"  load {os.getloadavg()[0]:.0f}", flush=True)
    for name in rounds[0]:
        median = Figures(*map(statistics.median, zip(*(each[name] for each in rounds), strict=True)))
        print(f"  {connections:4} connections  {name:22} {median}", flush=True)
    for kind in KINDS:
        for other in [each for each in rounds[0] if each in {f"{kind}, ordinary", f"{kind}, before", "token file"}]:
            ratios = sorted(each[kind].cpu_us / each[other].cpu_us for each in rounds)
            print(f"       {kind}: {statistics.median(ratios):.2f} times {other} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def variants() -> Iterator[tuple[str, Requests, str]]:
    """Name, requests, and the `src` folder of the version; empty: this one."""
    for kind, requests in KINDS.items():
        yield kind, requests, ""
        if BEFORE:
            yield f"{kind}, before", requests, BEFORE
        yield f"{kind}, ordinary", functools.partial(ordinary, requests=requests), ""


def measured(command: list[str], connections: int, requests: Requests, src: str) -> Figures:
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": src} if src else None
    server = [sys.executable, *command, "--port", str(port)]
    process = subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        return uvloop.run(measure(port, process.pid, connections, SECONDS, requests=requests))
    finally:
        process.terminate()
        process.wait(40)

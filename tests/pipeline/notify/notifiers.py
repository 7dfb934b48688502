"""A running notifier for tests, a webhook that fails, hangs and recovers, and signals to tell of."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3

from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import IDS, producer
from tests.waiting import LIMIT_S, wait_until

WRITER = RecordWriter(IDS, newest("SignalRaised"))
EXAMPLE = json.loads(Path("schemas/examples/SignalRaised.v1.json").read_text("utf-8"))["typical"]


TIMES = ("raised_at", "since", "before_since", "last_seen", "last_advance", "eta", "eta_before")


def signal(task: str, kind: str = "SILENT", *, project: str = "p", before: str = "OK", **more: Any) -> dict[str, Any]:
    """A signal of this kind, raised now; by default a state that begins, and with RESUMED the end of `before`."""
    after = {"RESUMED": "OK", "RESET": before, "ETA_MOVED": before}.get(kind, kind)
    later = time.time_ns() // 1000 - EXAMPLE["raised_at"]
    times = {name: EXAMPLE[name] + later for name in TIMES}
    names = {"project_id": project, "task_id": task, "subtask_name": "MIGRATE_LINUX_FILE"}
    return EXAMPLE | times | names | {"signal": kind, "before": before, "after": after} | more


def raise_signals(broker: KafkaClient, topics: Topics, signals: Sequence[dict[str, Any]]) -> None:
    """Write them to the topic, each task's in order."""
    sender = producer(broker.bootstrap_servers)
    for each in signals:
        key = f"{each['project_id']}/{each['task_id']}"
        sender.produce(topics.signals.name, WRITER.write(each), key)
    assert sender.flush(LIMIT_S) == 0


def note(broker: KafkaClient, topics: Topics, task: str, **fields: Any) -> None:
    """Write a note about this task of project p, which mutes it for an hour; `fields` say what differs."""
    now_us = time.time_ns() // 1000
    times = {"made_at": now_us, "until": now_us + 3_600_000_000}
    names = {"project_id": "p", "task_id": task, "kind": "MUTED", "note": "known", "by": "anna"}
    sender = producer(broker.bootstrap_servers)
    value = RecordWriter(IDS, newest("TaskNote")).write(names | times | fields)
    sender.produce(topics.notes.name, value, f"p/{task}")
    assert sender.flush(LIMIT_S) == 0


@dataclass
class Webhook:
    """What a webhook got, and how it responds."""

    url: str = ""
    status: int = 200
    accepted: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refused: int = 0
    answering: threading.Event = field(default_factory=threading.Event)
    """Cleared: requests are read and get no response."""
    most: int | None = None
    """After so many requests in all, one is accepted no more, and gets no response while this is set."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def taken(self, headers: dict[str, str], body: bytes) -> int | None:
        """Take this request as the webhook is set now: the status of its response; None: there is none for the moment."""
        with self.lock:
            if self.status != 200:
                self.refused += 1
            elif self.most is not None and len(self.accepted) >= self.most:
                return None
            else:
                self.requests.append((headers, body))
                self.accepted.append(json.loads(body))
            return self.status

    def tasks(self) -> Counter[str]:
        """How often each task's alert was accepted."""
        with self.lock:
            return Counter(alert["task_id"] for each in self.accepted for alert in each["alerts"])

    def statuses(self) -> list[tuple[str, str, str]]:
        """Task, kind and status of each alert, in order."""
        with self.lock:
            found = [alert for each in self.accepted for alert in each["alerts"]]
            return [(each["task_id"], each["kind"], each["status"]) for each in found]


@contextlib.contextmanager
def webhook() -> Iterator[Webhook]:
    """A webhook that listens."""
    state = Webhook()
    state.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.answering.wait()
            while (status := state.taken(dict(self.headers), body)) is None:
                time.sleep(0.01)
            with contextlib.suppress(OSError):  # a client that gave up
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.most = None
        state.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


def config(folder: Path, text: str) -> Path:
    """A configuration file with its dead letters beside it."""
    path = folder / "notify.toml"
    path.write_text(f'dead_letter = "undelivered.jsonl"\n{text}')
    return path


def undelivered(folder: Path) -> list[dict[str, Any]]:
    """The dead letters."""
    path = folder / "undelivered.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class RunningNotifier:
    """A notifier process."""

    process: subprocess.Popen[bytes]
    log: Path

    def page(self, path: str) -> tuple[int, str]:
        """A page of its metrics port."""
        address = wait_until(self._address, self.words)
        response = urllib3.request("GET", address + path, retries=False, timeout=LIMIT_S)
        return response.status, response.data.decode()

    def metric(self, name: str) -> float:
        """The value of a metric with its labels."""
        found = [
            line for line in self.page("/metrics")[1].splitlines() if line.startswith(f"taskstream_notify_{name} ")
        ]
        return float(found[0].rpartition(" ")[2])

    def words(self) -> str:
        """What it logged."""
        return self.log.read_text()

    def _address(self) -> str:
        assert self.process.poll() is None, self.words()
        lines = [line for line in self.words().splitlines() if line.startswith("notify: metrics at ")]
        return lines[0].removeprefix("notify: metrics at ").removesuffix("/metrics") if lines else ""


@contextlib.contextmanager
def notifier(broker: KafkaClient, topics: Topics, path: Path, *options: str) -> Iterator[RunningNotifier]:
    """A notifier that holds its partitions; it is stopped, unless it has ended."""
    log = path.with_suffix(".log")
    with log.open("ab") as out:
        out.truncate(0)
        command = [sys.executable, "-m", "taskstream", "notify", "--config", str(path), "--metrics-port", "0"]
        where = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
        process = subprocess.Popen([*command, *where, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    running = RunningNotifier(process, log)
    try:
        wait_until(lambda: running.page("/readyz")[0] == 200, running.words)
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(LIMIT_S)

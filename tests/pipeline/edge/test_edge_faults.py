"""The edge under load while the broker dies and comes back, and while the edge itself is told to stop."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
import urllib3
from confluent_kafka import Consumer, TopicPartition

from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics
from tests.producer.edges import REPORT, RunningEdge, running_edge
from tests.waiting import LIMIT_S, wait_until

PATH = "/v3/tasks/task-1/progress"
CLOSE = {"Connection": "close"}
ACK_TIMEOUT_S = 3.0
"""For a machine with two cores that also runs the broker and the load."""


@dataclass
class Load:
    """Connections that report as fast as they are answered; each report is sent once and never again."""

    edge: RunningEdge
    connections: int = 8
    acked: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    unanswered: list[str] = field(default_factory=list)
    reset_when_new: int = 0
    """Connections that were reset before their first answer: the kernel had accepted them for a listener that was closed
    before the edge saw them."""

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._report, args=(number,)) for number in range(self.connections)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _report(self, number: int) -> None:
        connection = None
        while not self._stop.is_set():
            is_new = connection is None
            try:
                connection = connection or socket.create_connection(("127.0.0.1", self.edge.port), timeout=LIMIT_S)
            except ConnectionRefusedError:
                return  # it does not listen any more: nothing was sent, nothing is owed
            connection = self._one(connection, f"t-{number}", is_new=is_new)

    def _one(self, connection: socket.socket, task_id: str, *, is_new: bool) -> socket.socket | None:
        body = json.dumps(REPORT).encode()
        key = secrets.token_hex(8)
        head = (
            f"PUT /v3/tasks/{task_id}/progress HTTP/1.1\r\nHost: edge\r\nX-Auth-Token: {self.edge.token}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            connection.sendall(head.encode() + body)
            answer = _read(connection)
        except ConnectionResetError as error:
            if is_new:
                self.reset_when_new += 1
                return None
            answer, problem = None, repr(error)
        except OSError as error:
            answer, problem = None, repr(error)
        else:
            problem = "closed"
        if answer is None:
            self.unanswered.append(problem)
            return None
        status, headers = answer
        self.statuses[status] += 1
        if status == 200:
            self.acked.append(headers["x-event-id"])
        elif "retry-after" not in headers:
            self.without_retry_after += 1
        else:
            time.sleep(0.02)
        return None if headers.get("connection") == "close" else connection


def _read(connection: socket.socket) -> tuple[int, dict[str, str]] | None:
    seen = b""
    while b"\r\n\r\n" not in seen:
        piece = connection.recv(65536)
        if not piece:
            return None
        seen += piece
    first, *lines = seen.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    rest = int(headers.get("content-length", 0)) - len(seen.partition(b"\r\n\r\n")[2])
    while rest > 0:
        rest -= len(connection.recv(65536))
    return int(first.split()[1]), headers


def event_ids(kafka, topics: Topics) -> Counter[str]:
    """Every event on the topic, by name."""
    consumer = Consumer(kafka.config(**{"group.id": "none", "enable.auto.commit": False}))
    reader = RecordReader(TableIds(), "ProgressReported")
    found: Counter[str] = Counter()
    try:
        ends = {}
        for partition in range(topics.partitions):
            _, ends[partition] = consumer.get_watermark_offsets(TopicPartition(topics.progress.name, partition), 20)
        consumer.assign([TopicPartition(topics.progress.name, partition, 0) for partition, end in ends.items() if end])
        left = sum(ends.values())
        while left:
            for message in consumer.consume(1000, 5):
                assert message.error() is None
                found[reader.read(message.value())["event_id"]] += 1
                left -= 1
    finally:
        consumer.close()
    return found


def test_a_broker_that_is_killed_and_comes_back_costs_no_acknowledged_report(private_kafka, tmp_path):
    topics = Topics("faults", partitions=3)
    create_topics(private_kafka.client.config(), topics)
    options = ["--ack-timeout", str(ACK_TIMEOUT_S)]
    with running_edge(private_kafka.client, topics.prefix, tmp_path, *options) as edge, Load(edge) as load:
        wait_until(lambda: load.statuses[200] > 200)
        private_kafka.kill()
        wait_until(lambda: load.statuses[503] > 0)
        wait_until(lambda: edge.get("/readyz").status == 503)
        time.sleep(ACK_TIMEOUT_S + 2)  # the outage outlasts the delivery timeout: its length is what is tested
        served_in_outage, during = load.statuses[200], load.statuses[503]
        wait_until(lambda: load.statuses[503] > during)
        assert load.statuses[200] == served_in_outage
        private_kafka.start()
        wait_until(lambda: load.statuses[200] > served_in_outage + 200)
        wait_until(lambda: edge.get("/readyz").status == 200)
        assert edge.process.poll() is None
    assert set(load.statuses) == {200, 503}
    assert load.without_retry_after == 0
    assert load.unanswered == []
    found = event_ids(private_kafka.client, topics)
    assert [name for name in load.acked if found[name] != 1] == []


def test_a_stop_signal_under_load_cuts_no_connection_without_an_answer(broker, edge_topics, tmp_path):
    with running_edge(broker, edge_topics.prefix, tmp_path) as edge, Load(edge) as load:
        wait_until(lambda: load.statuses[200] > 200)
        assert edge.stop() == 0
    assert load.unanswered == []
    assert load.reset_when_new <= load.connections, "each finds no listener after that"
    assert set(load.statuses) == {200}
    found = event_ids(broker, edge_topics)
    assert [name for name in load.acked if found[name] != 1] == []


@pytest.mark.parametrize("workers", [2])
def test_workers_share_the_load_and_stop_together(broker, edge_topics, tmp_path, workers):
    with running_edge(broker, edge_topics.prefix, tmp_path, "--workers", str(workers)) as edge:
        with Load(edge, connections=16) as load:
            wait_until(lambda: load.statuses[200] > 200)
        assert set(load.statuses) <= {200, 503}, "a worker that is not ready yet says so"
        wait_until(lambda: acked_by_worker(edge) == load.statuses[200])
        assert edge.stop() == 0


def test_of_a_process_that_hangs_the_counters_stay_and_the_gauges_go(broker, edge_topics, tmp_path):
    with running_edge(broker, edge_topics.prefix, tmp_path, "--workers", "2") as edge:
        wait_until(lambda: scraped(edge, "worker_up") == {"0": 1, "1": 1})
        for _ in range(20):
            urllib3.request(
                "PUT", edge.url + PATH, json=REPORT, headers={"X-Auth-Token": edge.token, **CLOSE}, timeout=LIMIT_S
            )
        hanging = children(edge.process.pid)[1]

        def hangs_with_its_counters_written() -> bool:
            """While it hangs, the other process answers, with what this one has written."""
            os.kill(hanging, signal.SIGSTOP)
            if sum(scraped(edge, "reports_total").values()) == 20:
                return True
            os.kill(hanging, signal.SIGCONT)
            return False

        try:
            wait_until(hangs_with_its_counters_written)
            reports = scraped(edge, "reports_total")
            wait_until(lambda: scraped(edge, "worker_up") in ({"0": 0, "1": 1}, {"0": 1, "1": 0}))
            assert scraped(edge, "reports_total") == reports
            assert len(scraped(edge, "ready")) == len(scraped(edge, "in_flight")) == 1
        finally:
            os.kill(hanging, signal.SIGCONT)
        wait_until(lambda: scraped(edge, "worker_up") == {"0": 1, "1": 1})
        os.kill(hanging, signal.SIGKILL)
        wait_until(lambda: hanging not in children(edge.process.pid) and len(children(edge.process.pid)) == 2)
        wait_until(lambda: scraped(edge, "worker_up") == {"0": 1, "1": 1})
        assert edge.stop() == 0


def scraped(edge: RunningEdge, name: str) -> dict[str, float]:
    """This metric by worker, from a connection of its own: the process of an older one may hang."""
    text = urllib3.request("GET", f"{edge.url}/metrics", headers=CLOSE, timeout=LIMIT_S).data.decode()
    found = re.findall(rf'^taskstream_edge_{name}{{worker="(\d+)"}} (\S+)$', text, re.MULTILINE)
    return {worker: float(value) for worker, value in found}


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def acked_by_worker(edge: RunningEdge) -> int:
    """The sum over the workers: each leaves its numbers every two seconds. The probes are acknowledged too."""
    lines = edge.get("/metrics").data.decode().splitlines()
    values = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("taskstream_edge_reports_total{")]
    if len(values) < 2:
        return -1  # a process has not written its first figures
    return int(sum(values))

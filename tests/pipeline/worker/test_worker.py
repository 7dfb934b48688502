"""One worker on a real broker: rejects, silence, expiry, metrics and readiness."""

from __future__ import annotations

import datetime as dt
import re
import socket
import struct
import threading
import time
from collections.abc import Iterable, Sequence

import jsonschema
import pytest
import urllib3
from confluent_kafka import Message

from taskstream.compose.topic_admin import create_topics
from taskstream.consumer.worker.metrics import WorkerMetrics, WorkerMetricsServer
from taskstream.schemas.catalog import newest
from taskstream.schemas.description.asyncapi import document
from taskstream.schemas.topics import Topic, Topics
from tests.pipeline.clocked_worker import Clock, working
from tests.pipeline.folded import as_one_undisturbed_fold
from tests.pipeline.streams import (
    Fleet,
    ask,
    committed,
    has_counted,
    measured,
    newest_by_key,
    producer,
    read_all,
    records,
    report,
    send,
    words,
    worker,
)
from tests.waiting import LIMIT_S, wait_until

T = 4_000_000_000_000_000
S = 1_000_000


@pytest.mark.parametrize("way", ["--direct", "--no-direct"])
def test_an_unreadable_record_is_rejected_unchanged_with_reason_and_origin(broker, topics, tmp_path, way):
    bootstrap = broker.bootstrap_servers
    fleet = Fleet(tasks=5, seed=1)
    send(bootstrap, topics, (fleet.event() for _ in range(100)))
    sender = producer(bootstrap)
    bad = [(b"p/1", b"not ours", [("ce_id", b"1"), ("taskstream_reason", b"forged")]), (None, None, []), (b"", b"", [])]
    for key, value, headers in bad:
        sender.produce(topics.progress.name, value, key, 1, headers=headers, timestamp=1234)
    assert sender.flush(LIMIT_S) == 0
    with worker(bootstrap, topics, tmp_path, "w", way):
        wait_until(lambda: committed(bootstrap, topics) == 103)
        wait_until(lambda: has_counted(tmp_path, "rejected_total", 3))
    assert ("as objects" in words(tmp_path)) == (way == "--no-direct")
    kept = read_all(bootstrap, topics.rejected.name)
    sent = {each.offset(): each for each in read_all(bootstrap, topics.progress.name) if each.partition() == 1}
    assert len(kept) == 3
    for message in kept:
        headers = dict(message.headers())
        origin = sent[int(headers["taskstream_offset"])]
        assert (message.key(), message.value()) == (origin.key(), origin.value())
        assert headers["taskstream_topic"].decode() == topics.progress.name
        assert (headers["taskstream_partition"], headers["taskstream_timestamp_ms"]) == (b"1", b"1234")
    by_key = {message.key(): dict(message.headers()) for message in kept}
    assert by_key[b"p/1"]["ce_id"] == b"1"
    assert by_key[b"p/1"]["taskstream_reason"] == b"wrong_magic_byte"
    assert by_key[None]["taskstream_reason"] == by_key[b""]["taskstream_reason"] == b"empty"
    assert [name for name, _ in next(m for m in kept if m.key() == b"p/1").headers()].count("taskstream_reason") == 1


def test_metrics_and_health(broker, topics, tmp_path):
    bootstrap = broker.bootstrap_servers
    fleet = Fleet(tasks=50, seed=3)
    send(bootstrap, topics, (fleet.event() for _ in range(2_000)))
    with worker(bootstrap, topics, tmp_path) as process:
        wait_until(lambda: ask(tmp_path, "/readyz")[0] == 200)
        wait_until(lambda: committed(bootstrap, topics) == 2_000)
        wait_until(lambda: measured(tmp_path, "series") == 50)
        wait_until(lambda: measured(tmp_path, "lag_records") == 0)
        wait_until(lambda: measured(tmp_path, "lag_seconds") == 0)
        wait_until(lambda: has_counted(tmp_path, "events_total", 2_000))
        wait_until(lambda: has_counted(tmp_path, "batch_events_sum", 2_000))
        wait_until(lambda: has_counted(tmp_path, "rebalances_total", 1))
        wait_until(lambda: has_counted(tmp_path, "producers_total", 1))
        wait_until(lambda: measured(tmp_path, "commit_seconds_count") >= 1)
        assert measured(tmp_path, "rows_total") >= 50
        assert ask(tmp_path, "/healthz")[0] == 200
        assert ask(tmp_path, "/nothing")[0] == 404
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    a_pause_of_the_machine = {"SESSTMOUT", "REQTMOUT"}
    assert set(re.findall(r"librdkafka .*facility=(\w+)", words(tmp_path))) <= a_pause_of_the_machine
    as_one_undisturbed_fold(bootstrap, topics, 2_000, 60.0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_metrics_server_answers_probes_of_any_make(host):
    metrics = WorkerMetrics()
    with WorkerMetricsServer(metrics, host, 0) as server:
        assert server.url == (f"http://[::1]:{server.port}" if ":" in host else f"http://{host}:{server.port}")
        whole = urllib3.request("GET", f"{server.url}/metrics?name[]=x", timeout=LIMIT_S)
        assert (whole.status, b"taskstream_worker_rejected_total 0.0" in whole.data) == (200, True)
        head = urllib3.request("HEAD", f"{server.url}/metrics", timeout=LIMIT_S)
        assert (head.status, head.data, int(head.headers["Content-Length"]) > 0) == (200, b"", True)
        assert urllib3.request("HEAD", f"{server.url}/readyz?x=1", timeout=LIMIT_S).status == 503
        assert urllib3.request("GET", f"{server.url}/nothing?x=1", timeout=LIMIT_S).status == 404


class _Waiting(WorkerMetrics):
    """Its readiness is asked for, and answered once the client is gone."""

    def __init__(self) -> None:
        self.asked, self.gone = threading.Event(), threading.Event()
        super().__init__()

    @property
    def ready(self) -> bool:
        self.asked.set()
        return self.gone.wait(LIMIT_S)

    @ready.setter
    def ready(self, ready: bool) -> None: ...


def test_a_probe_that_waits_no_longer_leaves_no_traceback(capfd):
    metrics = _Waiting()
    with WorkerMetricsServer(metrics, "127.0.0.1", 0) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
            assert metrics.asked.wait(LIMIT_S)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
        metrics.gone.set()
        wait_until(lambda: not any("process_request" in each.name for each in threading.enumerate()))
    assert capfd.readouterr().err == ""


def test_a_worker_without_partitions_is_ready(broker, topic_prefix, tmp_path):
    topics = Topics(topic_prefix, partitions=1)
    create_topics(broker.config(), topics)
    with worker(broker.bootstrap_servers, topics, tmp_path, "a"):
        wait_until(lambda: ask(tmp_path, "/readyz", "a")[0] == 200)
        with worker(broker.bootstrap_servers, topics, tmp_path, "b"):
            wait_until(lambda: ask(tmp_path, "/readyz", "b")[0] == 200)


def test_silent_and_resumed_are_signalled_once_also_over_a_restart(broker, topics):
    bootstrap, clock = broker.bootstrap_servers, Clock()

    def signalled() -> list[str]:
        return [each["signal"] for each in records(read_all(bootstrap, topics.signals.name), "SignalRaised")]

    with working(broker, topics, clock):
        send(bootstrap, topics, [report(1, T, 100)])
        wait_until(lambda: committed(bootstrap, topics) == 1)
        clock.now_us = T + 601 * S  # after ten minutes, because no gap is known yet
        wait_until(lambda: signalled() == ["SILENT"])
        clock.now_us = T + 1200 * S
        time.sleep(2.5)  # two more checks, which must signal nothing
        assert signalled() == ["SILENT"]
    with working(broker, topics, clock):
        send(bootstrap, topics, [report(1, T + 1210 * S, 200)])
        wait_until(lambda: committed(bootstrap, topics) == 2)
        wait_until(lambda: signalled() == ["SILENT", "RESUMED"])
        send(bootstrap, topics, [report(1, T + 1211 * S, 300)])
        wait_until(lambda: committed(bootstrap, topics) == 3)
    assert signalled() == ["SILENT", "RESUMED"]


@pytest.mark.parametrize("state_headers", [True, False])
def test_signals_rates_and_on_request_state_are_cloud_events(broker, topics, state_headers):
    bootstrap, clock = broker.bootstrap_servers, Clock()

    def told(topic: Topic) -> list[Message]:
        return [each for each in read_all(bootstrap, topic.name) if each.value() is not None]

    with working(broker, topics, clock, state_headers=state_headers):
        send(bootstrap, topics, [report(1, T, 100), report(1, T + 90 * S, 200), report(1, T + 180 * S, 300)])
        wait_until(lambda: committed(bootstrap, topics) == 3)
        clock.now_us = T + 1200 * S
        wait_until(lambda: bool(told(topics.signals)))
    described = document(topics)["components"]["messages"]
    ids = set()
    for topic in (topics.signals, topics.rates, topics.state):
        messages = told(topic)
        assert messages
        for message in messages:
            headers = {name: value.decode() for name, value in message.headers() or []}
            if topic == topics.state and not state_headers:
                assert headers == {}
                continue
            schema = described[newest(topic.value).title]["headers"]
            jsonschema.validate(headers, schema | {"additionalProperties": False})
            assert {"ce_specversion", "ce_id", "ce_type", "ce_source"} <= headers.keys()
            assert headers["ce_id"] not in ids
            ids.add(headers["ce_id"])
    (signal,) = told(topics.signals)
    at = dt.datetime.fromisoformat(dict(signal.headers())["ce_time"].decode())
    assert at.timestamp() * S == records([signal], "SignalRaised")[0]["raised_at"]


def test_a_series_without_reports_for_a_week_gets_a_tombstone_and_may_return(broker, topics):
    bootstrap, clock = broker.bootstrap_servers, Clock()

    def held() -> dict[str, bytes]:
        return newest_by_key(read_all(bootstrap, topics.state.name))

    with working(broker, topics, clock):
        send(bootstrap, topics, [report(1, T, 100), report(1, T + S, 200), report(2, T + 7 * 86_400 * S, 100)])
        wait_until(lambda: committed(bootstrap, topics) == 3)
        assert set(held()) == {"p/task-1/MIGRATE_LINUX_FILE", "p/task-2/MIGRATE_LINUX_FILE"}
        clock.now_us = T + (7 * 86_400 + 2) * S
        wait_until(lambda: set(held()) == {"p/task-2/MIGRATE_LINUX_FILE"})
        send(bootstrap, topics, [report(1, clock.now_us, 300)])
        wait_until(lambda: committed(bootstrap, topics) == 4)
    rows = newest_by_key(read_all(bootstrap, topics.state.name))
    again = next(
        each for each in read_all(bootstrap, topics.state.name)[::-1] if each.key() == b"p/task-1/MIGRATE_LINUX_FILE"
    )
    assert records([again], "SeriesState")[0]["reports"] == 1
    assert len(rows) == 2


def test_records_that_no_fold_could_process_are_rejected_and_the_worker_works_on(broker, topics, tmp_path):
    bootstrap, now_us = broker.bootstrap_servers, int(time.time() * S)
    hostile = [
        report(1, now_us + 2 * 3_600 * S, 100),
        report(1, 2**31 * 60 * S, 100),
        report(1, 0, 100),
        report(1, now_us, 100, progress=101),
        report(1, now_us, -1),
        report(1, now_us, 100, process_trace="x" * 900_000),
        report(1, now_us, 100, migrate_speed=float("inf")),
    ]
    sender = producer(bootstrap)
    for key, value in [report(1, now_us, 100), *hostile, report(1, now_us + S, 200)]:
        sender.produce(topics.progress.name, value, key)
    assert sender.flush(LIMIT_S) == 0
    with worker(bootstrap, topics, tmp_path, "w", "--reject-share", "1") as process:
        wait_until(lambda: committed(bootstrap, topics) == len(hostile) + 2)
        wait_until(lambda: has_counted(tmp_path, "rejected_total", len(hostile)))
        assert process.poll() is None
    kept = [dict(each.headers())["taskstream_reason"] for each in read_all(bootstrap, topics.rejected.name)]
    assert kept == [b"out_of_bounds"] * len(hostile)
    (row,) = records(list(newest_messages(read_all(bootstrap, topics.state.name))), "SeriesState")
    assert (row["reports"], row["replicatesize"]) == (2, 200)


def newest_messages(messages: Sequence[Message]) -> Iterable[Message]:
    return {message.key(): message for message in messages}.values()

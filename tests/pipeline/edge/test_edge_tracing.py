"""Spans of reports, as a collector receives them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.pipeline.collector import Collector, attributes
from tests.pipeline.edge.test_edge import record_at
from tests.producer.edges import running_edge
from tests.waiting import wait_until

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def test_a_report_is_a_span_between_the_callers_and_the_record(broker, edge_topics, tmp_path, collector):
    with running_edge(broker, edge_topics.prefix, tmp_path, "--otel-endpoint", collector.url) as edge:
        answer = edge.put(traceparent=CALLER)
        assert answer.status == 200
        assert edge.put(body={}).status == 400
        assert edge.get("/healthz").status == 200
        assert edge.stop() == 0
    wait_until(lambda: len(collector.spans) >= 2)
    taken, refused = collector.spans
    assert (taken.name, taken.trace_id.hex()) == ("PUT /v3/tasks/{task_id}/progress", CALLER.split("-")[1])
    assert taken.parent_span_id.hex() == CALLER.split("-")[2]
    assert attributes(taken)["taskstream.event_id"] == answer.headers["X-Event-Id"]
    assert attributes(taken)["http.response.status_code"] == 200
    assert (refused.parent_span_id, attributes(refused)["http.response.status_code"]) == (b"", 400)
    message = record_at(broker, edge_topics, int(answer.headers["X-Partition"]), int(answer.headers["X-Offset"]))
    inherited = dict(message.headers())["traceparent"].decode().split("-")
    assert inherited[1:3] == [taken.trace_id.hex(), taken.span_id.hex()]
    assert edge.token.encode() not in collector.told


def test_a_collector_that_is_away_harms_no_report(broker, edge_topics, tmp_path):
    with running_edge(broker, edge_topics.prefix, tmp_path, "--otel-endpoint", "http://127.0.0.1:9") as edge:
        assert edge.put().status == 200


@pytest.mark.slow
def test_without_the_option_nothing_of_it_is_imported():
    code = "import sys, taskstream.compose.cli.processes.edge; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], timeout=300, check=False).returncode == 0


@pytest.mark.slow
def test_without_the_extra_the_option_is_told_what_is_missing(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.touch(0o600)
    code = "import sys; sys.modules['opentelemetry'] = None; from taskstream.compose.cli import main; main()"
    options = ["--bootstrap-servers", "127.0.0.1:1", "--tokens", tokens, "--otel-endpoint", "http://127.0.0.1:9"]
    done = subprocess.run(
        [sys.executable, "-c", code, "edge", *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, "pip install 'taskstream[otel]'" in done.stderr) == (2, True)

"""Spans of reports, as a collector receives them."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.pipeline.edge.test_edge import record_at
from tests.producer.edges import running_edge
from tests.waiting import wait_until

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Takes spans in OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.told = b""
        taken = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
                taken.told += told
                for each in ExportTraceServiceRequest.FromString(told).resource_spans:
                    taken.spans += [span for scope in each.scope_spans for span in scope.spans]
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


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

"""Spans of commits, as a collector receives them: each is linked to the reports that it has."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.pipeline.collector import Collector, attributes
from tests.pipeline.streams import SENT_AT_MS, Fleet, committed, producer, worker
from tests.waiting import LIMIT_S, wait_until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_the_span_of_a_commit_is_linked_to_its_reports(broker, topics, tmp_path):
    fleet = Fleet(tasks=3, seed=1)
    sender = producer(broker.bootstrap_servers)
    for number in range(10):
        key, value = fleet.event()
        parent = f"00-{TRACE}-{SPAN}-01" if number < 4 else "nonsense"
        headers = [("traceparent", parent.encode())] if number < 5 else []
        sender.produce(topics.progress.name, value, key, timestamp=SENT_AT_MS, headers=headers)
    assert sender.flush(LIMIT_S) == 0
    with Collector() as collector:
        with worker(broker.bootstrap_servers, topics, tmp_path, "w", "--otel-endpoint", collector.url) as process:
            wait_until(lambda: committed(broker.bootstrap_servers, topics) == 10)
            process.terminate()
            assert process.wait(LIMIT_S) == 0
        wait_until(lambda: sum(attributes(each)["messaging.batch.message_count"] for each in collector.spans) == 10)
    spans = collector.spans
    assert {each.name for each in spans} == {f"commit {topics.progress.name}"}
    links = {(link.trace_id.hex(), link.span_id.hex()) for each in spans for link in each.links}
    assert links == {(TRACE, SPAN)}
    assert sum(attributes(each)["taskstream.reports_with_trace"] for each in spans) == 5
    assert sum(attributes(each)["taskstream.rows"] for each in spans) >= 3
    assert all(each.start_time_unix_nano <= each.end_time_unix_nano for each in spans)


@pytest.mark.slow
def test_without_the_option_nothing_of_it_is_imported():
    code = "import sys, taskstream.compose.cli.processes.worker; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], timeout=300, check=False).returncode == 0

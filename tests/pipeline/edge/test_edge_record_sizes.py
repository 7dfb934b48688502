"""A topic that takes shorter records than the edge: what is refused is the report that is too long, and no other."""

from __future__ import annotations

import json

from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.brokers import set_topic
from tests.pipeline.streams import read_all, records
from tests.producer.edges import REPORT, running_edge

RECORD_BYTES = 1_500
LONG = {**REPORT, "process_trace": "x" * 2_000}
"""The API allows it, and the topic of this test does not."""


def test_only_the_report_that_is_too_large_is_refused_and_not_what_shares_its_batch(broker, topic_prefix, tmp_path):
    topics = Topics(topic_prefix, partitions=1)
    create_topics(broker.config(), topics)
    set_topic(broker, topics.progress.name, "max.message.bytes", str(RECORD_BYTES))
    reports = [{"task_id": f"t-{number}", **REPORT} for number in range(60)]
    reports.insert(30, {"task_id": "long", **LONG})
    with running_edge(broker, topics.prefix, tmp_path, properties={"linger.ms": "100"}) as edge:
        body = json.dumps(reports).encode()
        headers = {"X-Auth-Token": edge.token, "Content-Type": "application/json"}
        answer = edge.http.request("POST", f"{edge.url}/v3/progress", body=body, headers=headers, retries=False)
        assert answer.status == 207, answer.data
        results = answer.json()
        assert [each["status"] for each in results] == [200] * 30 + [413] + [200] * 30
        assert edge.put("one", LONG).status == 413
    messages = read_all(broker.bootstrap_servers, topics.progress.name)
    assert sorted(each["task_id"] for each in records(messages, "ProgressReported")) == sorted(
        each["task_id"] for each in reports if each["task_id"] != "long"
    )
    assert all("ce_id" in dict(message.headers() or []) for message in messages)

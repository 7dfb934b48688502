"""Edges whose clock is not Kafka's, in front of a real Kafka: they refuse reports and say why."""

from __future__ import annotations

import json

from confluent_kafka import Consumer, TopicPartition

from tests.brokers import set_topic
from tests.producer.edges import REPORT, running_edge
from tests.waiting import wait_until

SIX_YEARS_H = 6 * 8766


def records(broker, topics) -> int:
    """How many records the progress topic has."""
    consumer = Consumer(broker.config(**{"group.id": "none"}))
    try:
        partitions = [TopicPartition(topics.progress.name, number) for number in range(topics.partitions)]
        return sum(consumer.get_watermark_offsets(each, 20)[1] for each in partitions)
    finally:
        consumer.close()


def test_an_edge_acknowledges_nothing_while_its_clock_is_wrong(broker, topics, tmp_path):
    hours = tmp_path / "hours"
    hours.write_text(str(-SIX_YEARS_H))
    with running_edge(broker, topics.prefix, tmp_path, clock_ahead=hours) as edge:
        wait_until(lambda: edge.get("/readyz").json()["checks"]["kafka"] == "ok")
        ready = edge.get("/readyz")
        words = ready.json()["checks"]["clock"]
        assert ready.status == 503
        assert words.startswith("this edge's clock is 6.0 years behind Kafka's: ")
        relayed = json.dumps([{"task_id": "t-1"} | REPORT]).encode()
        sent = {"X-Auth-Token": edge.token, "Content-Type": "application/json"}
        batch = edge.http.request("POST", f"{edge.url}/v3/progress", body=relayed, headers=sent)
        for refused in (edge.put(), edge.put(content_encoding="identity"), batch):
            assert refused.status == 503
            assert refused.headers["Retry-After"]
            assert refused.json()["error_msg"].startswith("this edge's clock is 6.0 years behind Kafka's: ")
        assert records(broker, topics) == 0

        hours.write_text("0")
        wait_until(lambda: edge.get("/readyz").status == 200)
        assert edge.get("/readyz").json()["checks"]["clock"] == "ok"
        assert edge.put().status == 200

        hours.write_text("3")  # after a step of its clock, a ready edge is unready within seconds
        wait_until(lambda: edge.get("/readyz").status == 503)
        assert edge.put().json()["error_msg"].startswith("this edge's clock is 3.0 h ahead of Kafka's: ")


def test_a_refused_timestamp_names_the_clock(broker, topics, tmp_path):
    set_topic(broker, topics.progress.name, "message.timestamp.after.max.ms", "60000")
    hours = tmp_path / "hours"
    hours.write_text("0.5")
    with running_edge(broker, topics.prefix, tmp_path, clock_ahead=hours) as edge:
        wait_until(lambda: edge.get("/readyz").status == 200)

        refused = edge.put()

        assert refused.status == 503
        assert "INVALID_TIMESTAMP" in refused.json()["error_msg"]
        assert "compare the edge's clock with Kafka's" in refused.json()["error_msg"]


def test_an_edge_with_the_probe_topic_of_an_older_version_is_ready_and_says_that_kafkas_clock_is_unknown(
    broker, topics, tmp_path
):
    set_topic(broker, topics.probe.name, "message.timestamp.type", "CreateTime")
    with running_edge(broker, topics.prefix, tmp_path) as edge:
        assert edge.get("/readyz").json()["checks"]["clock"] == (
            f"unknown: {topics.probe.name} has a message.timestamp.type other than LogAppendTime"
        )
        assert edge.put().status == 200

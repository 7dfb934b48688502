"""One report through the real edge to a real broker."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition

from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics
from tests.producer.edges import REPORT, running_edge
from tests.waiting import LIMIT_S


def record_at(broker: KafkaClient, topics: Topics, partition: int, offset: int):
    consumer = Consumer(broker.config(**{"group.id": "none", "enable.auto.commit": False}))
    try:
        consumer.assign([TopicPartition(topics.progress.name, partition, offset)])
        message = consumer.poll(LIMIT_S)
        assert message is not None
        assert message.error() is None
        return message
    finally:
        consumer.close()


def test_a_report_that_was_answered_with_200_lies_where_its_receipt_says(edge, broker, edge_topics):
    answer = edge.put("task/one", {**REPORT, "replicatesize": 2**63 - 1, "agent_cpu_usage": 1.5})
    assert (answer.status, answer.data) == (404, answer.data)

    answer = edge.put("task%2Fone", {**REPORT, "replicatesize": 2**63 - 1, "agent_cpu_usage": 1.5})
    assert (answer.status, answer.data) == (200, b"")
    message = record_at(broker, edge_topics, int(answer.headers["X-Partition"]), int(answer.headers["X-Offset"]))
    event = RecordReader(TableIds(), "ProgressReported").read(message.value())
    assert message.key() == b"project-1/task/one"
    assert event["event_id"] == answer.headers["X-Event-Id"]
    assert event["replicatesize"] == 2**63 - 1
    assert event["agent_cpu_usage"] == 1.5
    assert event["migrate_speed"] is None
    assert message.timestamp()[1] == event["received_at"] // 1000
    headers = dict(message.headers())
    assert headers["ce_id"] == event["event_id"].encode()
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"taskstream.ProgressReported"


def test_the_callers_trace_context_goes_with_the_event(edge, broker, edge_topics):
    context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = edge.put("t-trace", traceparent=context)
    message = record_at(broker, edge_topics, int(answer.headers["X-Partition"]), int(answer.headers["X-Offset"]))
    assert dict(message.headers())["traceparent"] == context.encode()


def test_the_same_idempotency_key_gives_the_same_event_id(edge):
    first, second = (edge.put("t-2", Idempotency_Key="k-1") for _ in range(2))
    other = edge.put("t-3", Idempotency_Key="k-1")
    assert first.headers["X-Event-Id"] == second.headers["X-Event-Id"] != other.headers["X-Event-Id"]


def test_a_wrong_token_is_answered_with_401_in_the_form_of_the_api(edge):
    answer = edge.put(X_Auth_Token="wrong")
    assert answer.status == 401
    assert answer.json()["error_code"] == "APIGW.0301"
    assert answer.headers["X-Request-Id"]


def test_every_wrong_field_is_named_with_its_bound(edge):
    answer = edge.put(body={**REPORT, "progress": 101, "totalsize": "5"})
    assert answer.status == 400
    assert [each["field"] for each in answer.json()["errors"]] == ["progress", "totalsize"]
    assert "from 0 to 100" in answer.json()["error_msg"]


def test_a_stop_signal_ends_the_edge_with_exit_code_0(broker, edge_topics, tmp_path):
    with running_edge(broker, edge_topics.prefix, tmp_path) as running:
        assert running.put().status == 200
        assert running.stop() == 0

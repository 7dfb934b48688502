"""An event that librdkafka calls delivered, for a later one was, and that Kafka does not have."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from confluent_kafka import KafkaError

from taskstream.producer.acks.acked_producer import AckedProducer, producer_config
from taskstream.producer.acks.delivery import Ack
from taskstream.producer.errors import NotAcked
from taskstream.producer.events.event_builder import Event
from tests.mock_kafka import MockKafka
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.slow


async def outcomes(kafka: MockKafka, topic: str) -> dict[bytes, Ack | BaseException]:
    """Of two events, the first of which Kafka refuses for a moment while the second is on its way."""
    config = producer_config(
        {"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0}, ack_timeout_s=LIMIT_S, queue_limit=100
    )
    kafka.answer_after(0)
    async with AckedProducer(topic, f"{topic}.probe", config, ack_timeout_s=LIMIT_S) as acks:
        assert (await acks.probe(must_write=True)).problem is None
        kafka.answer_after(400)
        kafka.refuse_next_batch(KafkaError.NOT_LEADER_FOR_PARTITION)
        first = acks.send(Event("key", b"first", [], 0))
        await asyncio.sleep(0.6)  # the client asks for the topic's leader, then sends this batch
        second = acks.send(Event("key", b"second", [], 0))
        found = await asyncio.gather(first, second, return_exceptions=True)
    kafka.answer_after(0)
    return dict(zip((b"first", b"second"), found, strict=True))


def test_only_an_event_that_kafka_has_is_acknowledged():
    """Whether the second batch is on its way before the first is refused is up to the machine: it is tried again."""
    with MockKafka() as kafka:
        for number in itertools.count():
            topic = f"events-{number}"
            kafka.create(topic)
            kafka.create(f"{topic}.probe")
            found = asyncio.run(outcomes(kafka, topic))
            acknowledged = [value for value, outcome in found.items() if isinstance(outcome, Ack)]
            assert kafka.values(topic, LIMIT_S) == acknowledged
            if b"first" not in acknowledged:
                break
            assert number < 20, "the second batch never overtook the first"
        assert isinstance(found[b"first"], NotAcked)
        assert found[b"first"].reason == "UNPROVEN"
        assert found[b"second"] == Ack(0, 0)

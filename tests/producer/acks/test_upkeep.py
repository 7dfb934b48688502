"""The producer's upkeep goes on whatever librdkafka's client or one waiter does; the client does what the test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from taskstream.producer.acks.acked_producer import AckedProducer, producer_config
from taskstream.producer.acks.delivery import Delivery, ProbeOutcome
from taskstream.producer.errors import NotAcked
from taskstream.producer.events.event_builder import Event
from tests.mock_kafka import MockKafka
from tests.waiting import LIMIT_S

EVENT = Event("key", b"value", [], 0)


class ScriptedClient:
    """Makes `polls` first. `answers`: whether it calls back with what was produced."""

    def __init__(self, *polls: Callable[[], None], answers: bool = True) -> None:
        self._polls = list(polls)
        self._answers = answers
        self._produced: list[Delivery] = []
        self.closed = threading.Event()

    def produce(self, *_: object, on_delivery: Delivery, **__: object) -> None:
        self._produced.append(on_delivery)

    def poll(self, _timeout_s: float) -> None:
        if self._polls:
            self._polls.pop(0)()
        while self._answers and self._produced:
            self._produced.pop(0)(None, Acknowledged())

    def purge(self, **_: object) -> None:
        pass

    def close(self) -> None:
        self.closed.set()


class Refusing(ScriptedClient):
    """It has been told already that the user may not write to the probes' topic."""

    def produce(self, topic: str, *more: object, **options: Any) -> None:
        if topic == "probe":
            raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
        super().produce(topic, *more, **options)


class Acknowledged:
    """A message as the client gives it back."""

    def partition(self) -> int:
        return 1

    def offset(self) -> int:
        return 2

    def topic(self) -> str:
        return "topic"


class Scripted(AckedProducer):
    """With these clients, one after the other."""

    def __init__(self, *clients: ScriptedClient, ack_timeout_s: float = LIMIT_S) -> None:
        super().__init__("topic", "probe", {}, ack_timeout_s=ack_timeout_s, flush_timeout_s=0)
        self._clients = list(clients)

    def _new_producer(self) -> Any:
        self._dead = False
        return self._clients.pop(0)


class Failing:
    """A waiter that cannot be told."""

    def acked(self, *_: object) -> None:
        raise RuntimeError("not to be told")

    failed = acked


def lose_fatal_error() -> None:
    raise SystemError("error return without exception set")


@pytest.mark.parametrize("polls", [(lose_fatal_error,), (lose_fatal_error, lose_fatal_error)])
def test_a_client_that_lost_its_fatal_error_is_replaced_and_nobody_waits_for_it(polls):
    async def run() -> None:
        first = ScriptedClient(*polls, answers=False)
        async with Scripted(first, ScriptedClient()) as acks:
            with pytest.raises(NotAcked, match="FATAL"):
                await asyncio.wait_for(acks.send(EVENT), LIMIT_S)
            ack = await asyncio.wait_for(acks.send(EVENT), LIMIT_S)
            assert (ack.partition, ack.offset) == (1, 2)
            assert await asyncio.to_thread(first.closed.wait, LIMIT_S)

    asyncio.run(run())


def test_a_waiter_that_fails_leaves_no_other_waiting():
    async def run() -> list[str]:
        reported: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(str(context.get("exception"))))
        async with Scripted(ScriptedClient(answers=False), ack_timeout_s=0.05) as acks:
            acks.produce(EVENT, Failing())
            with pytest.raises(NotAcked, match="OVERDUE"):
                await asyncio.wait_for(acks.send(EVENT), LIMIT_S)
        return reported

    assert asyncio.run(run()) == ["not to be told"]


def test_a_waiter_that_fails_is_reported_and_the_client_goes_on():
    """Of an exception that C code raises in a callback, confluent-kafka makes what looks like a fatal error."""

    class FailingInC(Failing):
        def acked(self, *_: object) -> None:
            int("not to be told")

    async def run() -> list[str]:
        reported: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(str(context.get("exception"))))
        with MockKafka() as kafka:
            kafka.create("events")
            config = producer_config(
                {"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0}, ack_timeout_s=LIMIT_S, queue_limit=100
            )
            async with AckedProducer("events", "probe", config, ack_timeout_s=LIMIT_S) as acks:
                acks.produce(EVENT, FailingInC())
                assert (await asyncio.wait_for(acks.send(EVENT), LIMIT_S)).offset == 1
                assert (acks.counts.acked, acks.counts.rebuilds) == (2, 0)
        return reported

    (told,) = asyncio.run(run())
    assert "not to be told" in told


def test_a_probe_that_the_client_refuses_at_once_names_the_right_and_says_nothing_of_the_reports():
    async def run() -> None:
        async with Scripted(Refusing()) as acks:
            for _ in range(2):
                outcome = await acks.probe(must_write=True)
                assert "may not write to the topic probe:" in (outcome.problem or "")
                assert outcome.reports_fail is None
            assert acks.counts.failed == acks.counts.probes_failed == 2
            await acks.send(EVENT)
            assert await acks.probe(must_write=False) == ProbeOutcome()

    asyncio.run(run())

"""A worker whose Kafka is in memory and whose clock stands where a test puts it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import Message

from taskstream.consumer.errors import ConsumerError
from taskstream.consumer.kafka.direct.message_fetch import batch_of
from taskstream.consumer.kafka.in_memory.broker import InMemoryBroker, InMemoryRecord
from taskstream.consumer.kafka.in_memory.source import InMemorySource
from taskstream.consumer.kafka.in_memory.transaction import InMemoryTransaction
from taskstream.consumer.kafka.state_decoder import StateDecoder
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.worker.lifecycle import WorkerLifecycle, WorkerState
from taskstream.consumer.worker.metrics import WorkerMetrics
from taskstream.consumer.worker.output import Output
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.consumer.worker.unit_of_work import UnitOfWork
from taskstream.consumer.worker.worker import Worker
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import Fleet

IDS = TableIds()
TOPICS = Topics("memory", partitions=2)
START_US = 4_000_000_000_000_000
COMMIT_S = 0.25


class InMemoryStateReader:
    """Reads the state topic of an in-memory broker back."""

    def __init__(self, broker: InMemoryBroker, calls: list[str]) -> None:
        self._broker = broker
        self._decoder = StateDecoder(IDS)
        self._calls = calls
        self.read: list[list[int]] = []
        """The partitions of each call."""

    def restore(self, partitions: Sequence[int], table: SeriesTable) -> int:
        self._calls.append("restore")
        self.read.append(list(partitions))
        messages = [message for each in partitions for message in self._broker.log(TOPICS.state.name)[each].messages]
        self._decoder.decode(batch_of(messages)).apply_to(table)
        return len(messages)


class LoggedSource(InMemorySource):
    """Notes when it goes back, and when Kafka is asked to where."""

    def __init__(self, broker: InMemoryBroker, instance: str | None, calls: list[str]) -> None:
        super().__init__(broker, TOPICS.progress.name, instance)
        self._calls = calls

    def rewind(self) -> None:
        self._calls.append("rewind")
        super().rewind()

    def rewind_to_kafka(self) -> None:
        self._calls.append("ask")
        super().rewind_to_kafka()


class LifecycleLog(WorkerLifecycle):
    """Keeps every state that it goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.states = [self.state]

    def move(self, to: WorkerState) -> None:
        super().move(to)
        self.states.append(to)


class WorkerInMemory:
    """A worker and what it is made of; `run` makes a step after each action, and then stops."""

    def __init__(self, broker: InMemoryBroker, name: str = "w", instance: str | None = None, **settings: Any):
        self.broker = broker
        self.now_s = 0.0
        """The worker's monotonic clock; its other clock is that of the reports."""
        self.wall_us = START_US
        self.lifecycle = LifecycleLog()
        self.metrics = WorkerMetrics()
        self.calls: list[str] = []
        """Each rewind and each restore, in order."""
        self.notes: list[Any] = []
        self.state_reader = InMemoryStateReader(broker, self.calls)
        self.source = LoggedSource(broker, instance, self.calls)
        self.transaction = InMemoryTransaction(broker, name)
        self.transaction.renew()
        chosen = WorkerSettings(TOPICS, "group", name, **{"commit_interval_s": COMMIT_S} | settings)
        self.work = UnitOfWork(
            SeriesTable(chosen.fold),
            Output(IDS, TOPICS),
            self.transaction,
            self.source,
            self.state_reader,
            self.lifecycle,
            self.metrics,
            lambda: self.now_s,
        )
        self.seconds: list[float] = []
        """When it was called once a second."""
        self.worker = Worker(
            self.source,
            self.work,
            self.lifecycle,
            IDS,
            chosen,
            self.metrics,
            self._each_second,
            lambda: self.wall_us / 1_000_000,
            lambda: self.now_s,
        )

    @property
    def state(self) -> WorkerState:
        return self.lifecycle.state

    def run(self, *actions: Callable[[], object]) -> None:
        """Run the worker; before each step one action, and a stop after the last step."""
        left = iter(actions)

        def stopping() -> bool:
            action = next(left, None)
            if action is not None:
                action()
            return action is None

        self.worker.run(stopping)

    def wait(self, seconds: float = COMMIT_S) -> Callable[[], None]:
        """The action of letting time pass."""

        def advance() -> None:
            self.now_s += seconds

        return advance

    def publish(self, events: Iterable[tuple[str, bytes | None]]) -> Callable[[], None]:
        """The action of publishing these events."""
        return lambda: publish(self.broker, events)

    def fail(self, call: str, error: ConsumerError, times: int = 1) -> Callable[[], None]:
        """The action of letting the next calls of the transaction fail."""

        def schedule() -> None:
            for _ in range(times):
                self.transaction.fail(call, error)

        return schedule

    def expel(self) -> None:
        """The action of its group removing it, which it does not know yet."""
        self.broker.leave(self.source.member_id)

    def note(self, what: Callable[[], Any]) -> Callable[[], None]:
        """The action of keeping what is so between two steps in `notes`."""
        return lambda: self.notes.append(what())

    def begin(self) -> None:
        """Join without a run, for a test that makes the steps of two workers in turn."""
        self.source.subscribe(self.worker)
        self.lifecycle.move(WorkerState.IDLE)

    def step(self) -> None:
        """Make one step without a run."""
        self.worker._step()

    def _each_second(self, now_s: float) -> None:
        self.seconds.append(now_s)

    def metric(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"taskstream_worker_{name}") or 0.0

    def count(self, state: WorkerState) -> int:
        """How often it has been in this state."""
        return self.lifecycle.states.count(state)


def nothing() -> None:
    """The action of doing nothing."""


def events(count: int, seed: int = 1) -> list[tuple[str, bytes]]:
    """Reports of a few tasks over some hours: minutes close, and signals are raised."""
    fleet = Fleet(tasks=6, seed=seed, now_us=START_US, step_us=20_000_000)
    return [fleet.event() for _ in range(count)]


def publish(broker: InMemoryBroker, reports: Iterable[tuple[str, bytes | None]]) -> None:
    for key, value in reports:
        broker.append(InMemoryRecord(TOPICS.progress.name, key.encode(), value))


def published(broker: InMemoryBroker) -> dict[str, Any]:
    """What the topics hold: the last row of each series, and every window and signal by key in order."""

    def messages(topic: str) -> list[Message]:
        return [message for log in broker.log(topic) for message in log.messages]

    def by_key(topic: str) -> dict[Any, list[Any]]:
        found: dict[Any, list[Any]] = {}
        for message in messages(topic):
            found.setdefault(message.key(), []).append(message.value())
        return found

    rows = {message.key(): (message.partition(), message.value()) for message in messages(TOPICS.state.name)}
    return {
        "rows": rows,
        "windows": by_key(TOPICS.rates.name),
        "signals": by_key(TOPICS.signals.name),
        "offsets": dict(broker.committed),
    }


def undisturbed(reports: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
    """What one fold and one commit of these reports publish."""
    broker = InMemoryBroker(TOPICS.partitions)
    publish(broker, reports)
    worker = WorkerInMemory(broker)
    worker.run(nothing, nothing)
    found = published(broker)
    assert found["rows"]
    assert found["windows"]
    assert found["signals"]
    return found

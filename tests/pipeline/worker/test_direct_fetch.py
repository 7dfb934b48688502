"""Messages as arrays: equal to messages as objects, part by part, and owned exactly as long as they may be read.

The number of messages that were given back is counted at the one place that does it. The moves are drawn by a seed.
"""

from __future__ import annotations

import ctypes
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.errors import StateUnreadable
from taskstream.consumer.kafka.direct import direct_fetch, message_struct
from taskstream.consumer.kafka.direct.direct_fetch import DirectFetch
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.kafka.direct.native_client import why_not
from taskstream.consumer.kafka.direct.source_batch import NewFetch
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.kafka.rebalancing_source import BatchSource
from taskstream.consumer.kafka.transaction import Transaction
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.state_records import state_batch
from taskstream.consumer.worker.state_restore import StateRestore
from taskstream.consumer.worker.watchdog import Watchdog
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter
from taskstream.schemas.topics import Topics
from tests.consumer.replay.test_difference import START, Event, table
from tests.pipeline.streams import IDS, SENT_AT_MS, producer, read_all
from tests.waiting import LIMIT_S, wait_until

READ = {"group.id": "none", "enable.partition.eof": True, "enable.auto.commit": False, "auto.offset.reset": "error"}


@pytest.fixture(autouse=True)
def proven() -> None:
    assert why_not() is None


class Ledger:
    """Every message that a fetch owned, and every one that it gave back, by address, in order."""

    def __init__(self) -> None:
        self.live: set[int] = set()
        self.owned = self.destroyed = 0

    def own(self, pointers: np.ndarray) -> None:
        for address in pointers.tolist():
            assert address not in self.live, "a message was returned while it was still owned"
            self.live.add(address)
            self.owned += 1

    def destroy(self, pointers: np.ndarray) -> None:
        for address in pointers[pointers != 0].tolist():
            assert address in self.live, "a message was given back twice, or was never owned"
            self.live.remove(address)
            self.destroyed += 1


@pytest.fixture
def ledger(monkeypatch) -> Ledger:
    kept = Ledger()
    destroy, batch = direct_fetch.destroy_messages, DirectFetch._batch

    def noted(pointers: np.ndarray, code: int) -> None:
        kept.destroy(pointers)
        destroy(pointers, code)

    def owning(self: DirectFetch) -> Any:
        kept.own(self._owned)
        return batch(self)

    monkeypatch.setattr(direct_fetch, "destroy_messages", noted)
    monkeypatch.setattr(DirectFetch, "_batch", owning)
    return kept


@pytest.fixture
def consumer(broker: KafkaClient) -> Iterator[Consumer]:
    made = Consumer(broker.config(**READ))
    yield made
    made.close()


def publish(broker: KafkaClient, topic: str, rng: random.Random, count: int) -> None:
    """Records with and without keys, values and headers, some of them empty."""
    sender = producer(broker.bootstrap_servers)
    for number in range(count):
        value = rng.choice([None, b"", b"v", rng.randbytes(rng.randrange(2_000))])
        key = rng.choice([None, b"", b"key", f"{number}".encode()])
        headers = rng.choice([None, [("a", b"1"), ("a", None), ("b", b"")]])
        sender.produce(topic, value, key, number % 2, timestamp=SENT_AT_MS + number, headers=headers)
    assert sender.flush(LIMIT_S) == 0


def read_whole(consumer: Consumer, new_fetch: NewFetch, topic: str) -> tuple[list[RawRecord], list[tuple[int, int]]]:
    """Every record, and the ends that were reported."""
    fetch = new_fetch(consumer, topic)
    fetch.hold([0, 1])
    consumer.assign([TopicPartition(topic, each, 0) for each in (0, 1)])
    records, ends, deadline = [], [], time.monotonic() + LIMIT_S
    while len(ends) < 2:
        assert time.monotonic() < deadline
        batch, events = fetch.read(7, 0.2)
        ends += [(event.partition, event.offset) for event in events]
        for index, value in enumerate(batch.values):
            record = batch.record(index)
            assert (record.value or b"") == (value or b"")
            numbers = batch.partitions[index], batch.offsets[index], batch.timestamps_ms[index]
            assert (record.partition, record.offset, record.timestamp_ms) == numbers
            records.append(record)
    fetch.close()
    return sorted(records, key=lambda each: (each.partition, each.offset)), sorted(ends)


def test_every_part_of_every_record_is_that_of_the_ordinary_way(broker, topics, consumer, ledger):
    topic = topics.progress.name
    publish(broker, topic, random.Random(1), 300)
    direct = read_whole(consumer, DirectFetch, topic)
    ordinary = Consumer(broker.config(**READ))
    try:
        assert direct == read_whole(ordinary, MessageFetch, topic)
    finally:
        ordinary.close()
    assert len(direct[0]) == 300
    assert ledger.live == set()
    assert ledger.destroyed == ledger.owned >= 300


def test_a_record_of_a_past_read_is_refused(broker, topics, consumer):
    topic = topics.progress.name
    publish(broker, topic, random.Random(2), 20)
    fetch = DirectFetch(consumer, topic)
    fetch.hold([0])
    consumer.assign([TopicPartition(topic, 0, 0)])
    batch, deadline = fetch.read(5, 0.2)[0], time.monotonic() + LIMIT_S
    while not len(batch):
        assert time.monotonic() < deadline
        batch = fetch.read(5, 0.2)[0]
    kept = list(batch.values)
    assert batch.record(0).offset == 0
    fetch.read(5, 0.2)
    with pytest.raises(RuntimeError, match="given back"):
        batch.record(0)
    assert list(batch.values) == kept
    fetch.close()
    with pytest.raises(RuntimeError, match="closed"):
        fetch.read(5, 0.2)


def test_an_interrupt_as_a_read_returns_loses_no_message(broker, topics, consumer, ledger, monkeypatch):
    publish(broker, topics.progress.name, random.Random(3), 20)
    fetch = DirectFetch(consumer, topics.progress.name)
    fetch.hold([0])
    consumer.assign([TopicPartition(topics.progress.name, 0, 0)])
    read_batch = fetch._library.call["rd_kafka_consume_batch_queue"]

    def interrupted(queue: int, wait_ms: int, address: int, most: int) -> int:
        count = read_batch(queue, wait_ms, address, most)
        if count:
            ledger.own(np.array((ctypes.c_uint64 * count).from_address(address)))
            raise KeyboardInterrupt
        return count

    monkeypatch.setitem(fetch._library.call, "rd_kafka_consume_batch_queue", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wait_until(lambda: len(fetch.read(5, 0.2)[0]))
    fetch.close()
    lost = sorted(ledger.live)
    message_struct.destroy_messages(np.array(lost, np.uint64), fetch._destroy_code)  # else the consumer never closes
    assert ledger.owned
    assert not lost


def test_an_offset_that_is_not_there_is_reported_with_its_partition_and_words(broker, topics, consumer):
    topic = topics.progress.name
    fetch = DirectFetch(consumer, topic)
    fetch.hold([1])
    consumer.assign([TopicPartition(topic, 1, 1_000)])
    events, deadline = [], time.monotonic() + LIMIT_S
    while not events:
        assert time.monotonic() < deadline
        events = fetch.read(10, 0.2)[1]
    fetch.close()
    (event,) = events
    assert (event.partition, event.error.name()) == (1, "_AUTO_OFFSET_RESET")
    assert "out of range" in event.error.str().lower()


def test_a_restore_finds_the_rows_and_the_first_bad_record_of_the_ordinary_way(broker, topics):
    """Rows, later rows of the same series, tombstones, an aborted transaction, then a record under an empty key."""
    topic, source = topics.state.name, table(*[Event(f"{task}", START + task, task) for task in range(300)])
    keys = [f"p/{task}/S" for task in range(300)]
    slots = source.find(keys)
    values = ColumnWriter(IDS, newest("SeriesState")).write(state_batch(source, slots))
    with Watchdog() as watchdog, Transaction(broker.config(), topics.prefix, watchdog) as transaction:
        for number, (key, value) in enumerate(zip(keys, values, strict=True)):
            transaction.send(topic, key, value, number % 2)
            if number % 7 == 0:
                transaction.send(topic, key, None, number % 2)
            if number % 14 == 0:
                transaction.send(topic, key, value, number % 2)
        transaction.commit(topics.progress.name, {}, member(broker, topics))
        transaction.send(topic, keys[1], None, 1)
        # An abort that overtakes the transaction's first request is refused by Kafka, and ends the producer.
        wait_until(lambda: len(read_all(broker.bootstrap_servers, topic, "read_uncommitted", decided=False)) == 366)
        transaction.abort()

    def restored(new_fetch: NewFetch) -> tuple[int, dict[str, bytes]]:
        found = SeriesTable()
        read = StateRestore(broker.config(), topic, IDS, new_fetch=new_fetch).restore([0, 1], found)
        held = np.flatnonzero(found.rows["live"])
        return read, {key: found.rows[slot].tobytes() for key, slot in zip(found.keys[held], held, strict=True)}

    direct = restored(DirectFetch)
    assert direct == restored(MessageFetch)
    assert direct[0] == 300 + 43 + 22
    assert set(direct[1]) == {key for task, key in enumerate(keys) if task % 7 or task % 14 == 0}

    sender = producer(broker.bootstrap_servers)
    sender.produce(topic, values[0], b"", 0)
    assert sender.flush(LIMIT_S) == 0
    words = []
    for new_fetch in (DirectFetch, MessageFetch):
        with pytest.raises(StateUnreadable) as raised:
            restored(new_fetch)
        words.append(str(raised.value))
    assert words[0] == words[1]
    assert "its key is ''" in words[0]


def member(broker: KafkaClient, topics: Topics) -> Any:
    """Group metadata to commit with; of a group that nobody is in, and no offset is committed."""
    asking = Consumer(broker.config(**{"group.id": topics.prefix}))
    try:
        return asking.consumer_group_metadata()
    finally:
        asking.close()


class Counts:
    """A listener that keeps what was read since, for each partition, as folded state is kept."""

    def __init__(self) -> None:
        self.assigned_partitions: set[int] = set()

    def assigned(self, partitions: Any, _unread: Any) -> None:
        self.assigned_partitions |= set(partitions)

    def revoked(self, partitions: Any) -> None:
        self.assigned_partitions -= set(partitions)

    lost = revoked


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_members_that_come_go_rewind_and_close_in_mid_batch_read_every_record_in_order(
    broker: KafkaClient, topics: Topics, ledger: Ledger, seed: int
):
    """Every read continues at the position before it; nothing is given back twice, or kept after the close."""
    rng, topic, total = random.Random(seed), topics.progress.name, 4_000
    publish(broker, topic, rng, total)
    with ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog())

        def join() -> BatchSource:
            config = broker.config(**{"group.id": topics.prefix})
            source = BatchSource(config, topic, watchdog, new_fetch=DirectFetch)
            source.__enter__()
            source.subscribe(Counts())
            return source

        members, last, deadline = [join()], {0: False, 1: False}, time.monotonic() + LIMIT_S
        moves: list[Callable[[], None]] = [
            lambda: members.append(join()) if len(members) < 3 else None,
            lambda: members.pop(rng.randrange(len(members))).__exit__(None, None, None) if len(members) > 1 else None,
            lambda: rng.choice(members).rewind(),
            lambda: members.pop().__exit__(ZeroDivisionError, ZeroDivisionError(), None) if len(members) > 1 else None,
        ]
        for _ in range(60):
            if rng.random() < 0.3:
                rng.choice(moves)()
            for member in members:
                read_once(member, rng, last)
        while not all(last.values()):
            assert time.monotonic() < deadline
            for member in members:
                read_once(member, rng, last)
        for member in members:
            member.__exit__(None, None, None)
    assert ledger.live == set()
    assert ledger.destroyed == ledger.owned > 0


def read_once(member: BatchSource, rng: random.Random, last: dict[int, bool]) -> None:
    """Read a part; it begins where the member is, without a gap, and no partition is in it that is not held."""
    before = member.positions
    batch = member.read(rng.randrange(1, 900), 0.05)
    for partition in np.unique(batch.partitions).tolist():
        offsets = batch.offsets[batch.partitions == partition]
        assert partition in member.positions
        assert offsets.tolist() == list(range(before[partition], before[partition] + offsets.size))
        assert member.positions[partition] == offsets[-1] + 1
        last[partition] |= bool(offsets[-1] == 1_999)
    for index in rng.sample(range(len(batch)), min(3, len(batch))):
        record = batch.record(index)
        assert (record.partition, record.offset) == (batch.partitions[index], batch.offsets[index])
        assert record.timestamp_ms == SENT_AT_MS + 2 * record.offset + record.partition
        assert (record.value or b"") == batch.values[index]

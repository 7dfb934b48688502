"""How a source and a transaction behave, whether on Kafka or in memory: one suite, run on both.

A test class that inherits a suite has a fixture `kafka` that gives a `KafkaUnderTest`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from taskstream.consumer.errors import InstanceFenced, ProducerLost, StreamGap, TransactionAborted
from taskstream.schemas.codec.header_columns import headers_part
from taskstream.schemas.codec.packed_values import PackedValues
from tests.waiting import LIMIT_S


class KafkaUnderTest(Protocol):
    """Two topics with two partitions each, and one group."""

    events: str
    output: str

    def publish(self, partition: int, *values: bytes) -> None:
        """Put records on the topic of events."""

    def truncate(self, partition: int, begin: int) -> None:
        """Delete the events before an offset."""

    def source(self, instance: str | None = None, *, short_lived: bool = False) -> Any:
        """A member of the group that reads the events; not opened. `short_lived`: `expire` may be called for it."""

    def expire(self, source: Any) -> None:
        """Let the group remove a member that does not read."""

    def transaction(self, transactional_id: str) -> Any:
        """Not opened."""

    def committed(self) -> dict[int, int]:
        """The group's offsets on the topic of events."""

    def records(
        self, topic: str, *, decided: bool = True
    ) -> list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]]:
        """Partition, key, value and headers of all that a read_committed reader sees."""


class Listener:
    """Records its calls."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls: list[tuple[str, set[int]]] = []
        self.unread: set[int] = set()
        self._failure = failure

    def assigned(self, partitions: Sequence[int], unread: Collection[int]) -> None:
        self.calls.append(("assigned", set(partitions)))
        self.unread |= set(unread)
        if self._failure is not None:
            raise self._failure

    def revoked(self, partitions: Sequence[int]) -> None:
        self.calls.append(("revoked", set(partitions)))

    def lost(self, partitions: Sequence[int]) -> None:
        self.calls.append(("lost", set(partitions)))

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


def read_until(what: Callable[[], bool], *sources: Any) -> list[list[bytes]]:
    """The values that each source reads until `what` is so."""
    values: list[list[bytes]] = [[] for _ in sources]
    deadline = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        for index, source in enumerate(sources):
            values[index] += source.read(100, 0.05).values
    return values


def joined(
    kafka: KafkaUnderTest,
    at_end: ExitStack,
    listener: Listener | None = None,
    instance: str | None = None,
    *,
    short_lived: bool = False,
):
    """A member that has its first assignment."""
    source = at_end.enter_context(kafka.source(instance, short_lived=short_lived))
    heard = listener or Listener()
    source.subscribe(heard)
    read_until(lambda: bool(heard.calls), source)
    return source


def fail_to_join(kafka: KafkaUnderTest, at_end: ExitStack, listener: Listener) -> None:
    """Read until a read raises."""
    source = at_end.enter_context(kafka.source())
    source.subscribe(listener)
    read_until(lambda: False, source)


@pytest.fixture
def at_end():
    with ExitStack() as stack:
        yield stack


class SourceBehaviour:
    """What `BatchSource` promises."""

    def test_the_first_member_gets_all_partitions_and_none_has_a_committed_offset(self, kafka, at_end):
        listener = Listener()
        source = joined(kafka, at_end, listener)
        assert listener.calls == [("assigned", {0, 1})]
        assert listener.unread == {0, 1}
        assert source.positions == {0: 0, 1: 0}

    def test_records_come_in_order_and_positions_follow(self, kafka, at_end):
        source = joined(kafka, at_end)
        kafka.publish(0, b"a", b"b", b"c")
        values = read_until(lambda: source.positions[0] == 3, source)[0]
        assert values == [b"a", b"b", b"c"]
        assert source.positions == {0: 3, 1: 0}

    def test_a_batch_says_where_its_records_are(self, kafka, at_end):
        source = joined(kafka, at_end)
        kafka.publish(1, b"a", b"b")
        batches = []
        while sum(map(len, batches)) < 2:
            batches.append(source.read(1, 1.0))
        assert [batch.offsets.tolist() for batch in batches if len(batch)] == [[0], [1]]
        assert {partition for batch in batches for partition in batch.partitions.tolist()} == {1}

    def test_the_read_in_which_partitions_move_returns_no_records(self, kafka, at_end):
        kafka.publish(0, b"a")
        listener = Listener()
        source = at_end.enter_context(kafka.source())
        source.subscribe(listener)
        while not listener.calls:
            batch = source.read(100, 0.05)
        assert len(batch) == 0
        assert read_until(lambda: source.positions[0] == 1, source) == [[b"a"]]

    def test_rewinding_gives_the_records_since_the_last_commit_again(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        kafka.publish(0, b"a", b"b", b"c")
        read_until(lambda: source.positions[0] == 3, source)
        transaction.commit(kafka.events, {0: 1}, source.membership())
        source.committed({0: 1})
        source.rewind()
        assert source.positions == {0: 1, 1: 0}
        assert read_until(lambda: source.positions[0] == 3, source) == [[b"b", b"c"]]

    def test_it_can_rewind_to_what_only_kafka_knows(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        kafka.publish(0, b"a", b"b")
        read_until(lambda: source.positions[0] == 2, source)
        transaction.commit(kafka.events, {0: 1}, source.membership())
        source.rewind_to_kafka()
        assert source.positions == {0: 1, 1: 0}
        source.rewind()
        assert read_until(lambda: source.positions[0] == 2, source) == [[b"b"]]

    def test_a_member_rewinds_while_the_group_waits_for_another(self, kafka, at_end):
        kafka.publish(0, b"a")
        kafka.publish(1, b"a")
        listener = Listener()
        source = joined(kafka, at_end, listener)
        silent = at_end.enter_context(kafka.source())
        silent.subscribe(Listener())
        read_until(lambda: len(source.positions) == 1, source)  # in Kafka, `silent` must read to join again
        for _ in range(10):
            source.read(100, 0.05)
            source.rewind()
        (partition,) = source.positions
        assert source.positions == {partition: 0}

    def test_a_member_begins_at_the_committed_offsets(self, kafka, at_end):
        kafka.publish(0, b"a", b"b")
        with ExitStack() as first:
            source = joined(kafka, first)
            transaction = first.enter_context(kafka.transaction("t"))
            read_until(lambda: source.positions[0] == 2, source)
            transaction.commit(kafka.events, {0: 1}, source.membership())
        listener = Listener()
        source = joined(kafka, at_end, listener)
        assert source.positions == {0: 1, 1: 0}
        assert listener.unread == {1}

    def test_a_second_member_gets_what_the_first_gives_up(self, kafka, at_end):
        first_calls, second_calls = Listener(), Listener()
        first = joined(kafka, at_end, first_calls)
        second = at_end.enter_context(kafka.source())
        second.subscribe(second_calls)
        read_until(lambda: len(first.positions) == len(second.positions) == 1, first, second)
        assert first.positions.keys() ^ second.positions.keys() == {0, 1}
        assert first_calls.calls[1] == ("revoked", set(second.positions))
        assert set().union(*(partitions for name, partitions in second_calls.calls)) == set(second.positions)

    def test_leaving_revokes_what_is_held(self, kafka):
        listener = Listener()
        with ExitStack() as stack:
            joined(kafka, stack, listener)
        assert listener.calls == [("assigned", {0, 1}), ("revoked", {0, 1})]

    def test_leaving_after_an_error_does_not_call_the_listener(self, kafka):
        listener = Listener()
        source = kafka.source()
        source.__enter__()
        source.subscribe(listener)
        read_until(lambda: bool(listener.calls), source)
        source.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        assert listener.names() == ["assigned"]

    def test_an_error_of_the_listener_is_raised_by_the_read(self, kafka):
        listener = Listener(StreamGap("the listener's own"))
        with pytest.raises(StreamGap, match="the listener's own"), ExitStack() as stack:
            fail_to_join(kafka, stack, listener)
        assert listener.names() == ["assigned"]

    def test_a_committed_offset_that_retention_deleted_is_a_gap(self, kafka):
        kafka.publish(0, b"a", b"b", b"c")
        with ExitStack() as first:
            source = joined(kafka, first)
            transaction = first.enter_context(kafka.transaction("t"))
            transaction.commit(kafka.events, {0: 1}, source.membership())
        kafka.truncate(0, 2)
        listener = Listener()
        with pytest.raises(StreamGap, match="Retention"), ExitStack() as stack:
            fail_to_join(kafka, stack, listener)
        assert listener.calls == []

    def test_a_member_that_its_group_removed_has_lost_its_partitions_and_joins_again(self, kafka, at_end):
        listener = Listener()
        source = joined(kafka, at_end, listener, short_lived=True)
        kafka.expire(source)
        read_until(lambda: len(listener.calls) == 3, source)
        assert listener.calls == [("assigned", {0, 1}), ("lost", {0, 1}), ("assigned", {0, 1})]

    def test_a_second_member_of_the_same_name_fences_the_first(self, kafka, at_end):
        first = joined(kafka, at_end, instance="same")
        second = at_end.enter_context(kafka.source("same"))
        second.subscribe(Listener())
        with pytest.raises(InstanceFenced):
            read_until(lambda: False, second, first)

    def test_it_is_a_member_from_its_first_assignment_on(self, kafka, at_end):
        source = at_end.enter_context(kafka.source())
        assert source.membership() is None
        listener = Listener()
        source.subscribe(listener)
        read_until(lambda: bool(listener.calls), source)
        assert source.membership() is not None
        assert source.member_id

    def test_a_partition_is_level_when_all_of_it_is_read(self, kafka, at_end):
        source = joined(kafka, at_end)
        kafka.publish(0, b"a")
        assert sorted(source.level()) == [1]
        read_until(lambda: source.positions[0] == 1, source)
        assert sorted(source.level()) == [0, 1]
        read_until(lambda: source.lag() == {0: 0, 1: 0}, source)


class TransactionBehaviour:
    """What `Transaction` promises."""

    def test_records_and_offsets_are_committed_together(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        sent: list[tuple[str, str | bytes | None]] = [("id", b"")]

        def headers():
            for each in (b"first", b"second"):
                sent[0] = ("id", each)  # always the same list
                yield sent

        transaction.send_many(kafka.output, ["k", "l"], [b"1", b"2"], headers(), 0)
        assert kafka.records(kafka.output, decided=False) == []
        assert kafka.committed() == {}
        transaction.commit(kafka.events, {0: 0}, source.membership())
        expected = [(0, b"k", b"1", [("id", b"first")]), (0, b"l", b"2", [("id", b"second")])]
        assert kafka.records(kafka.output) == expected
        assert kafka.committed() == {0: 0}

    def test_keys_headers_tombstones_and_partitions_are_kept(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        transaction.send(kafka.output, "k", None, 1)
        transaction.send(kafka.output, None, b"", 1, headers=[("h", "text"), ("h", b"bytes")])
        transaction.commit(kafka.events, {0: 0}, source.membership())
        assert kafka.records(kafka.output) == [
            (1, b"k", None, []),
            (1, None, b"", [("h", b"text"), ("h", b"bytes")]),
        ]

    def test_packed_records_are_kept_in_order_and_committed_with_the_others(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        keys, values = [f"{each}".encode() for each in range(500)], [b"v" * each for each in range(500)]
        packed = PackedValues.of(keys), PackedValues.of(values)
        transaction.send_packed(kafka.output, packed[0].part(0, 300), packed[1].part(0, 300), [], 1)
        transaction.send_packed(kafka.output, packed[0].part(300, 500), packed[1].part(300, 500), [], 0)
        transaction.send(kafka.output, "last", b"one", 1)
        transaction.commit(kafka.events, {0: 0}, source.membership())
        sent = list(zip(keys, values, strict=True))
        expected = [(0, *each, []) for each in sent[300:]] + [(1, *each, []) for each in sent[:300]]
        assert sorted(kafka.records(kafka.output), key=lambda each: each[0]) == [*expected, (1, b"last", b"one", [])]

    def test_packed_records_have_their_headers(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        keys, values = PackedValues.of([b"k", b"", b"m"]), PackedValues.of([b"1", b"22", b""])
        headers = [("same", b"for all"), ("own", PackedValues.of([b"one", b"", b"three"])), ("empty", b"")]
        transaction.send_packed(kafka.output, keys, values, headers, 1)
        transaction.commit(kafka.events, {0: 0}, source.membership())
        assert kafka.records(kafka.output) == [
            (1, b"k", b"1", [("same", b"for all"), ("own", b"one"), ("empty", b"")]),
            (1, b"", b"22", [("same", b"for all"), ("own", b""), ("empty", b"")]),
            (1, b"m", b"", [("same", b"for all"), ("own", b"three"), ("empty", b"")]),
        ]

    def test_many_packed_records_have_all_their_parts(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        chance = random.Random(5)
        texts = [[chance.randbytes(chance.randrange(40)) for _ in range(2_000)] for _ in range(4)]
        keys, values, first, second = (PackedValues.of(each) for each in texts)
        headers = [("first", first), ("same", b"\0\xff"), ("first", second)]
        for begin, end in ((0, 700), (700, 700), (700, 2_000)):
            part = keys.part(begin, end), values.part(begin, end), headers_part(headers, begin, end)
            transaction.send_packed(kafka.output, *part)
        transaction.commit(kafka.events, {0: 0}, source.membership())
        expected = [
            (key, value, [("first", one), ("same", b"\0\xff"), ("first", other)])
            for key, value, one, other in zip(*texts, strict=True)
        ]
        found = kafka.records(kafka.output)
        assert sorted(each[1:] for each in found) == sorted(expected)
        for partition in (0, 1):
            places = [expected.index(each[1:]) for each in found if each[0] == partition]
            assert places == sorted(places)

    def test_a_packed_key_has_the_partition_that_it_has_alone(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        keys = [b"%d" % number for number in range(20)]
        transaction.send_packed(kafka.output, PackedValues.of(keys), PackedValues.of([b"1"] * 20), [])
        for key in keys:
            transaction.send(kafka.output, key, b"2")
        transaction.commit(kafka.events, {0: 0}, source.membership())
        places = {(key, partition) for partition, key, _, _ in kafka.records(kafka.output)}
        assert len(places) == 20
        assert {partition for _, partition in places} == {0, 1}

    def test_packed_records_of_an_aborted_transaction_are_not_visible(self, kafka, at_end):
        transaction = at_end.enter_context(kafka.transaction("t"))
        transaction.send_packed(kafka.output, PackedValues.of([b"k"]), PackedValues.of([b"aborted"]), [], 0)
        transaction.abort()
        assert kafka.records(kafka.output) == []

    def test_a_key_has_one_partition(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        keys = [str(number) for number in range(20)]
        transaction.send_many(kafka.output, keys, [b"1"] * 20, [[]] * 20)
        transaction.send_many(kafka.output, keys, [b"2"] * 20, [[]] * 20)
        transaction.commit(kafka.events, {0: 0}, source.membership())
        places = {(key, partition) for partition, key, _, _ in kafka.records(kafka.output)}
        assert len(places) == 20
        assert {partition for _, partition in places} == {0, 1}

    def test_a_commit_may_have_offsets_only(self, kafka, at_end):
        kafka.publish(1, b"a", b"b")
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        transaction.commit(kafka.events, {1: 2}, source.membership())
        assert kafka.committed() == {1: 2}

    def test_nothing_of_an_aborted_transaction_is_visible_and_the_next_one_is(self, kafka, at_end):
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        transaction.send(kafka.output, "k", b"aborted", 0)
        transaction.abort()
        assert kafka.committed() == {}
        transaction.send(kafka.output, "k", b"committed", 0)
        transaction.commit(kafka.events, {0: 0}, source.membership())
        assert kafka.records(kafka.output) == [(0, b"k", b"committed", [])]

    def test_an_abort_without_a_transaction_does_nothing(self, kafka, at_end):
        transaction = at_end.enter_context(kafka.transaction("t"))
        transaction.abort()
        transaction.abort()

    def test_leaving_aborts_what_is_open(self, kafka):
        with kafka.transaction("t") as transaction:
            transaction.send(kafka.output, "k", b"open", 0)
        assert kafka.records(kafka.output) == []

    def test_offsets_of_a_member_that_has_left_are_refused(self, kafka, at_end):
        with ExitStack() as stack:
            membership = joined(kafka, stack).membership()
        transaction = at_end.enter_context(kafka.transaction("t"))
        transaction.send(kafka.output, "k", b"stale", 0)
        with pytest.raises(TransactionAborted):
            transaction.commit(kafka.events, {0: 0}, membership)
        transaction.abort()
        assert kafka.records(kafka.output) == []
        assert kafka.committed() == {}

    def test_a_fenced_producer_is_lost_and_a_renewed_one_goes_on(self, kafka, at_end):
        """Closing the fenced producer raised its fatal error once more, so that it could not be replaced."""
        source = joined(kafka, at_end)
        transaction = at_end.enter_context(kafka.transaction("t"))
        transaction.send(kafka.output, "k", b"fenced", 0)
        with kafka.transaction("t"):
            with pytest.raises(ProducerLost):
                transaction.commit(kafka.events, {0: 0}, source.membership())
            transaction.renew()
        transaction.send(kafka.output, "k", b"renewed", 0)
        transaction.commit(kafka.events, {0: 0}, source.membership())
        assert kafka.records(kafka.output) == [(0, b"k", b"renewed", [])]

    def test_leaving_a_lost_producer_raises_nothing(self, kafka, at_end):
        source = joined(kafka, at_end)
        with kafka.transaction("t") as transaction:
            transaction.send(kafka.output, "k", b"fenced", 0)
            with kafka.transaction("t"), pytest.raises(ProducerLost):
                transaction.commit(kafka.events, {0: 0}, source.membership())
        assert kafka.records(kafka.output) == []

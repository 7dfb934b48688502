"""Reading the state back, on a consumer without a network."""

from __future__ import annotations

import pytest
from confluent_kafka import IsolationLevel, KafkaError

from taskstream.consumer.errors import KafkaFailed, StateUnreadable
from taskstream.consumer.kafka.cluster import EARLIEST, Cluster
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.worker.state_restore import StateRestore
from tests.consumer.kafka.fakes import Clock, FakeAdmin, FakeConsumer, end_of, failed
from tests.consumer.kafka.test_state_decoder import VALUES, A, B, record
from tests.pipeline.streams import IDS


def restored(*batches) -> tuple[int, SeriesTable]:
    """How many records were read, and the table; the partition has the offsets 0 to 4, some of them undecided."""
    clock, table = Clock(), SeriesTable()

    def offsets(spec, isolation):
        assert isolation == IsolationLevel.READ_UNCOMMITTED
        return {0: 0, 1: 0} if spec is EARLIEST else {0: 5, 1: 0}

    cluster = Cluster({}, new_admin=FakeAdmin(offsets), sleep=clock.sleep)
    consumer = FakeConsumer(batches, clock)
    read = StateRestore({}, "t.state", IDS, cluster, consumer, clock).restore([0, 1], table)
    assert consumer.assigned == [(0, 0)]
    assert consumer.closed
    return read, table


def test_it_reads_until_the_end_that_uncommitted_records_have():
    batches = [record(A, VALUES[A], 0), record(B, VALUES[B], 1)], [end_of(0, 3)], [record(A, None, 3)], [end_of(0, 5)]
    read, table = restored(*batches)

    assert read == 3
    assert table.find([A, B]).tolist() == table.find([B]).tolist()


def test_a_record_that_cannot_be_used_stops_it():
    with pytest.raises(StateUnreadable, match="offset 1 is not a record of our state"):
        restored([record(A, VALUES[A], 0), record(B, VALUES[A], 1)])


def test_a_transaction_that_stays_open_ends_the_wait():
    with pytest.raises(KafkaFailed, match="did not move for 180 s: a transaction on them stays open"):
        restored([end_of(0, 3)])


def test_an_error_that_passes_is_waited_out_and_named_when_it_does_not():
    assert restored([failed(KafkaError.LEADER_NOT_AVAILABLE)], [end_of(0, 5)])[0] == 0
    with pytest.raises(KafkaFailed, match=r"did not move for 180 s: .*[Uu]nknown topic"):
        restored([failed(KafkaError.UNKNOWN_TOPIC_OR_PART)])


def test_what_is_forbidden_stops_it_at_once():
    with pytest.raises(KafkaFailed, match=r"^User:ANONYMOUS may not read the topic "):
        restored([failed(KafkaError.TOPIC_AUTHORIZATION_FAILED)], [end_of(0, 5)])

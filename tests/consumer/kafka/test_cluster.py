"""Offsets asked of a cluster: one question for beginnings and ends, repeated while a leader is away."""

from __future__ import annotations

import pytest
from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError

from taskstream.consumer.errors import BadRange, KafkaFailed
from taskstream.consumer.kafka.cluster import EARLIEST, LATEST, Cluster, OffsetRange
from taskstream.consumer.kafka.ranges import Earliest, Latest, Offsets, Since
from tests.consumer.kafka.fakes import Clock, FakeAdmin

BEGINS = {0: 5, 1: 0}
ENDS = {0: 20, 1: 0}


def answers(spec, isolation):
    if spec is EARLIEST:
        return BEGINS
    if spec is LATEST:
        return ENDS if isolation == IsolationLevel.READ_COMMITTED else {0: 30, 1: 4}
    return {0: 12, 1: -1}


def cluster(admin: FakeAdmin, clock: Clock | None = None) -> Cluster:
    return Cluster({}, limit_s=1.0, new_admin=admin, sleep=(clock or Clock()).sleep)


def test_an_extent_is_from_the_first_offset_to_the_end_that_the_reader_sees():
    asking = cluster(FakeAdmin(answers))

    assert asking.extents("t", [0, 1]) == {0: OffsetRange(5, 20), 1: OffsetRange(0, 0)}
    assert asking.extents("t", [0, 1], IsolationLevel.READ_UNCOMMITTED) == {0: OffsetRange(5, 30), 1: OffsetRange(0, 4)}


def test_nothing_is_asked_for_no_partitions():
    admin = FakeAdmin(answers)
    assert cluster(admin).extents("t", []) == {}
    assert admin.asked == 0


def test_a_leader_that_did_not_answer_is_no_empty_partition():
    """librdkafka then reports the offset -1001 and no error: a state read back up to there would be empty."""
    clock = Clock()
    admin = FakeAdmin(lambda *_: {0: 30 if clock.slept else OFFSET_INVALID, 1: 20})

    assert cluster(admin, clock).offsets("t", [0, 1], LATEST) == {0: 30, 1: 20}
    assert clock.slept == [0.1]


@pytest.mark.parametrize("code", [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_a_leader_that_is_away_for_a_moment_is_asked_again(code):
    admin, clock = FakeAdmin(answers, [code, code]), Clock()

    assert cluster(admin, clock).offsets("t", [0], LATEST) == {0: 20}
    assert clock.slept == [0.1, 0.1]
    assert admin.created == 3, "a client keeps the epoch of the leader that it knows"


def test_what_is_forbidden_is_not_asked_again():
    admin = FakeAdmin(answers, [KafkaError.TOPIC_AUTHORIZATION_FAILED])
    with pytest.raises(
        KafkaFailed, match=r"^the offsets of t cannot be read: User:ANONYMOUS may not read the topic t: "
    ):
        cluster(admin).offsets("t", [0], LATEST)
    assert admin.asked == 1


def test_a_range_is_clipped_to_what_the_partition_holds():
    asking = cluster(FakeAdmin(answers))

    assert asking.pinned("t", Earliest(), Latest()) == {0: OffsetRange(5, 20), 1: OffsetRange(0, 0)}
    assert asking.pinned("t", Since(1), Latest()) == {0: OffsetRange(12, 20), 1: OffsetRange(0, 0)}
    assert asking.pinned("t", Offsets({"t": {0: 2}}), Latest()) == {0: OffsetRange(5, 20, gone=3)}


def test_a_file_of_offsets_must_name_the_topic():
    with pytest.raises(BadRange, match="names other and not t"):
        cluster(FakeAdmin(answers)).pinned("t", Offsets({"other": {0: 2}}), Latest())

"""What the loss of a broker would do to topics, by their replicas and settings."""

from __future__ import annotations

import pytest

from taskstream.schemas.durability import durability
from taskstream.schemas.topics import Difference, DifferenceKind, FoundTopic, Topics

TOPICS = Topics("p", partitions=2)
CLEAN = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}


def lacking(topic: FoundTopic, brokers: int) -> list[Difference]:
    return durability(TOPICS, {TOPICS.progress.name: topic}, brokers)


@pytest.mark.parametrize("brokers", [3, 5])
def test_three_replicas_of_which_two_must_be_in_sync_lack_nothing(brokers: int):
    assert lacking(FoundTopic(2, CLEAN, replicas=3, in_sync=3), brokers) == []


def test_nothing_is_expected_of_a_single_broker():
    assert lacking(FoundTopic(2, CLEAN | {"min.insync.replicas": "1"}), brokers=1) == []


@pytest.mark.parametrize(
    ("replicas", "brokers", "what"),
    [
        (1, 3, "1 replica in a cluster of 3"),
        (2, 4, "2 replicas in a cluster of 4"),
        (1, 2, "1 replica in a cluster of 2"),
    ],
)
def test_fewer_replicas_than_the_cluster_can_hold(replicas: int, brokers: int, what: str):
    (found,) = lacking(FoundTopic(2, CLEAN | {"min.insync.replicas": "1"}, replicas, replicas), brokers)
    assert (found.kind, found.fatal) == (DifferenceKind.REPLICAS, False)
    assert what in found.what


def test_one_replica_in_sync_is_too_few_for_an_acknowledgement():
    (found,) = lacking(FoundTopic(2, CLEAN | {"min.insync.replicas": "1"}, replicas=3, in_sync=3), brokers=3)
    assert (found.setting, found.declared, found.fatal) == ("min.insync.replicas", "2", False)


def test_as_many_in_sync_as_replicas_stops_writes_with_any_broker():
    (found,) = lacking(FoundTopic(2, CLEAN | {"min.insync.replicas": "3"}, replicas=3, in_sync=3), brokers=3)
    assert (found.setting, found.declared, found.fatal) == ("min.insync.replicas", "2", False)


def test_more_in_sync_than_replicas_lets_no_write_succeed():
    found = lacking(FoundTopic(2, CLEAN, replicas=1, in_sync=1), brokers=3)[0]
    assert (found.setting, found.declared, found.fatal) == ("min.insync.replicas", "1", True)


def test_unclean_leader_election_is_named():
    (found,) = lacking(FoundTopic(2, CLEAN | {"unclean.leader.election.enable": "true"}, 3, 3), brokers=3)
    assert (found.setting, found.declared) == ("unclean.leader.election.enable", "false")


def test_too_few_replicas_in_sync_for_a_write_is_fatal_and_comes_first():
    found = lacking(FoundTopic(2, CLEAN | {"unclean.leader.election.enable": "true"}, replicas=3, in_sync=1), brokers=1)
    assert [(each.kind, each.fatal) for each in found] == [
        (DifferenceKind.IN_SYNC, True),
        (DifferenceKind.SETTING, False),
    ]


def test_a_broker_that_is_down_is_told_while_writes_still_work():
    (found,) = lacking(FoundTopic(2, CLEAN, replicas=3, in_sync=2), brokers=2)
    assert (found.kind, found.fatal) == (DifferenceKind.IN_SYNC, False)
    assert "has 2 of 3 replicas in sync" in found.what

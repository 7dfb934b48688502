"""The declared topics, and the differences reported when a cluster's topics do not match."""

from __future__ import annotations

import dataclasses

import pytest

from taskstream.schemas.catalog import newest
from taskstream.schemas.topics import DifferenceKind, FoundTopic, Topics, differences, series_key, task_key

TOPICS = Topics("p", partitions=4, retention_days=7)


def as_declared(topics: Topics = TOPICS) -> dict[str, FoundTopic]:
    """What a cluster reports when every topic is as declared, with one more setting."""
    return {each.name: FoundTopic(each.partitions, {**each.config, "min.insync.replicas": "1"}) for each in topics.all}


def test_the_seven_topics_have_the_prefix():
    assert [each.name for each in TOPICS.all] == [
        "p.progress",
        "p.state",
        "p.rates",
        "p.signals",
        "p.notes",
        "p.rejected",
        "p.probe",
    ]


@pytest.mark.parametrize("topic", [each for each in TOPICS.all if each.value], ids=lambda topic: topic.name)
def test_every_value_is_a_released_record(topic):
    assert newest(topic.value)


def test_only_state_and_notes_are_compacted():
    assert [each.name for each in TOPICS.all if each.compacted] == ["p.state", "p.notes"]


def test_the_other_topics_are_retained_by_time():
    assert {each.config["retention.ms"] for each in TOPICS.all[:-1] if not each.compacted} == {
        str(7 * 24 * 3600 * 1000)
    }


def test_there_are_no_differences_when_every_topic_is_as_declared():
    assert differences(TOPICS, as_declared()) == []


def test_the_pipeline_runs_without_notes():
    found = as_declared()
    del found["p.notes"]

    (missing,) = differences(TOPICS, found)

    assert (missing.topic, missing.fatal) == ("p.notes", False)


def test_a_missing_topic_is_fatal():
    found = as_declared()
    del found["p.rates"]

    (missing,) = differences(TOPICS, found)

    assert missing.fatal
    assert (missing.topic, missing.what) == ("p.rates", "does not exist")
    assert missing.kind is DifferenceKind.MISSING


def test_another_partition_count_of_all_topics_is_a_difference_and_not_fatal():
    seen = differences(TOPICS, as_declared(dataclasses.replace(TOPICS, partitions=6)))

    assert len(seen) == 5
    assert not any(each.fatal for each in seen)
    assert {(each.kind, each.declared, each.found) for each in seen} == {(DifferenceKind.PARTITIONS, "4", "6")}


def test_different_partition_counts_of_progress_and_state_are_fatal_and_come_first():
    found = as_declared()
    found["p.state"] = dataclasses.replace(found["p.state"], partitions=5)

    worst, note = differences(TOPICS, found)

    assert worst.fatal
    assert (worst.topic, worst.kind) == ("p.state", DifferenceKind.UNEQUAL)
    assert "5 partitions" in worst.what
    assert "4" in worst.what
    assert not note.fatal


@pytest.mark.parametrize(("name", "value", "fatal"), [("cleanup.policy", "delete", True), ("segment.ms", "1", False)])
def test_a_setting_that_differs_comes_with_both_values(name, value, fatal):
    found = as_declared()
    found["p.state"] = FoundTopic(4, {**found["p.state"].config, name: value})

    (seen,) = differences(TOPICS, found)

    assert seen.fatal is fatal
    assert repr(value) in seen.what
    assert (seen.setting, seen.declared, seen.found) == (name, TOPICS.state.config[name], value)


def test_a_task_keeps_the_slashes_of_its_id():
    assert task_key("project", "a/b").split("/", 1) == ["project", "a/b"]


def test_a_series_key_splits_into_task_key_and_subtask():
    assert series_key("project", "a/b", "CLONE_VM").rsplit("/", 1) == [task_key("project", "a/b"), "CLONE_VM"]

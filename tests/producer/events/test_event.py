"""The event's name, key and headers."""

from __future__ import annotations

import uuid

from taskstream.producer.events.event import EventWriter, Receipt, fresh_event_id, same_event_id
from taskstream.producer.events.report_validation import ProgressReport
from taskstream.schemas.ids import TableIds

REPORT = ProgressReport(subtask_name="CLONE_VM", progress=5, replicatesize=1, totalsize=2, process_trace="")


def test_fresh_names_are_uuids_of_version_7_that_sort_as_their_times_do():
    names = [fresh_event_id(1_795_425_396_907_123 + step) for step in range(0, 10_000, 100)]
    assert names == sorted(names)
    assert {(uuid.UUID(name).version, uuid.UUID(name).variant) for name in names} == {(7, uuid.RFC_4122)}


def test_two_fresh_names_of_one_microsecond_differ():
    assert fresh_event_id(1) != fresh_event_id(1)


def test_the_same_key_names_the_same_event_only_within_its_task_and_project():
    assert same_event_id("p", "t", "k") == same_event_id("p", "t", "k")
    others = {
        same_event_id("p", "t", "k"),
        same_event_id("p", "u", "k"),
        same_event_id("q", "t", "k"),
        same_event_id("p", "t", "l"),
    }
    assert len(others) == 4


def test_the_parts_of_a_name_cannot_be_shifted_into_each_other():
    assert same_event_id("p", "a/b", "c") != same_event_id("p", "a", "b/c")


def test_the_key_begins_with_the_project_of_the_credentials():
    event = EventWriter(TableIds()).write(REPORT, Receipt("project", "task/1", "id", 0))
    assert event.key == "project/task/1"


def test_the_headers_are_those_of_cloudevents():
    event = EventWriter(TableIds()).write(REPORT, Receipt("p", "t", "id", 1_795_425_396_907_123, b"00-trace"))
    assert event.timestamp_ms == 1_795_425_396_907
    assert dict(event.headers) == {
        "ce_id": b"id",
        "ce_time": b"2026-11-23T09:16:36.907123Z",
        "ce_specversion": b"1.0",
        "ce_type": b"taskstream.ProgressReported",
        "ce_source": b"/taskstream/edge",
        "content-type": b"application/avro",
        "traceparent": b"00-trace",
    }

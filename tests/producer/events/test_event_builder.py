"""The event's id, key and headers."""

from __future__ import annotations

import hashlib
import uuid

from hypothesis import given
from hypothesis import strategies as st

from taskstream.producer.events.event_builder import (
    EventBuilder,
    Receipt,
    idempotent_event_id,
    new_event_id,
    resent_event_id,
)
from taskstream.producer.events.report_validation import ProgressReport
from taskstream.schemas.ids import TableIds

REPORT = ProgressReport(subtask_name="CLONE_VM", progress=5, replicatesize=1, totalsize=2, process_trace="")


def test_new_ids_are_uuids_of_version_7_that_sort_by_time():
    ids = [new_event_id(1_795_425_396_907_123 + step) for step in range(0, 10_000, 100)]
    assert ids == sorted(ids)
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in ids} == {(7, uuid.RFC_4122)}


def test_two_new_ids_of_one_microsecond_differ():
    assert new_event_id(1) != new_event_id(1)


def test_an_idempotency_key_gives_the_same_id_only_within_its_task_and_project():
    assert idempotent_event_id("p", "t", "k") == idempotent_event_id("p", "t", "k")
    others = {
        idempotent_event_id("p", "t", "k"),
        idempotent_event_id("p", "u", "k"),
        idempotent_event_id("q", "t", "k"),
        idempotent_event_id("p", "t", "l"),
    }
    assert len(others) == 4


@given(st.text(st.characters(codec="utf-8")), st.binary())
def test_an_id_made_of_a_name_is_a_uuid_of_version_5(text, body):
    namespace = uuid.UUID("4f6c3f2e-6a0b-5d1c-9c57-2a1f6c1f0d57")
    assert idempotent_event_id("p", "t", text) == str(uuid.uuid5(namespace, f"p\0t\0{text}"))
    name = namespace.bytes + f"p\0t\0{text}\0".encode() + body
    assert resent_event_id("p", "t", text, body) == str(uuid.UUID(bytes=hashlib.sha1(name).digest()[:16], version=5))


def test_task_id_and_key_are_separated_unambiguously():
    assert idempotent_event_id("p", "a/b", "c") != idempotent_event_id("p", "a", "b/c")


def test_the_record_key_begins_with_the_project():
    event = EventBuilder(TableIds()).build(REPORT, Receipt("project", "task/1", "id", 0))
    assert event.key == "project/task/1"


def test_the_headers_are_those_of_cloudevents():
    event = EventBuilder(TableIds()).build(REPORT, Receipt("p", "t", "id", 1_795_425_396_907_123, b"00-trace"))
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


def test_a_request_id_gives_the_same_id_only_with_the_same_body():
    first = resent_event_id("p", "t", "r", b"{}")
    assert resent_event_id("p", "t", "r", b"{}") == first
    assert len({first, resent_event_id("p", "t", "r", b"[]"), resent_event_id("p", "t", "s", b"{}")}) == 3
    assert uuid.UUID(first).version == 5

"""The headers of CloudEvents, without Kafka."""

from __future__ import annotations

import pytest

from taskstream.schemas.cloud_events import rfc3339
from taskstream.schemas.codec.header_columns import NumberedEvents, header_lists, headers_part


def test_ids_are_unique_in_one_process_and_between_processes():
    writers = NumberedEvents("RateWindow", "/here"), NumberedEvents("RateWindow", "/here")
    lists = [
        list(each) for writer in writers for count in (3, 2) for each in header_lists(writer.columns(count), count)
    ]
    assert len({dict(each)["ce_id"] for each in lists}) == 10
    assert {tuple(each[1:]) for each in lists} == {
        (
            ("ce_specversion", b"1.0"),
            ("ce_type", b"taskstream.RateWindow"),
            ("ce_source", b"/here"),
            ("content-type", b"application/avro"),
        )
    }


def test_an_event_with_a_time_has_it_beside_the_others():
    timed = list(header_lists(NumberedEvents("SignalRaised", "/here").timed_columns([0, 1_795_421_400_000_001]), 2))
    assert [each[-1] for each in timed] == [
        ("ce_time", b"1970-01-01T00:00:00.000000Z"),
        ("ce_time", b"2026-11-23T08:10:00.000001Z"),
    ]
    assert len({dict(each)["ce_id"] for each in timed}) == 2


@pytest.mark.parametrize(
    ("at_us", "text"),
    [(221_845_392_000_000_000, b"9000-01-01T00:00:00.000000Z"), (-1, b"1969-12-31T23:59:59.999999Z")],
)
def test_any_time_of_the_schemas_can_be_written(at_us, text):
    assert rfc3339(at_us) == text


def test_ids_are_numbered_from_0_on():
    events = NumberedEvents("RateWindow", "/here")
    ids = [dict(each)["ce_id"] for count in (0, 9, 95, 1_000) for each in header_lists(events.columns(count), count)]
    assert len({each[:33] for each in ids}) == 1
    assert [each[32:] for each in ids] == [b"-%d" % number for number in range(1_104)]


def test_a_part_of_the_headers_is_that_of_its_records():
    columns = NumberedEvents("SignalRaised", "/here").timed_columns([0, 1, 2, 3])
    assert list(header_lists(headers_part(columns, 1, 3), 2)) == list(header_lists(columns, 4))[1:3]


def test_records_without_headers_have_an_empty_list_each():
    assert list(header_lists([], 2)) == [[], []]

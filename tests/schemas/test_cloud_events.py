"""The headers of CloudEvents, without Kafka."""

from __future__ import annotations

import pytest

from taskstream.schemas.cloud_events import NumberedEvents, rfc3339


def test_ids_are_unique_in_one_process_and_between_processes():
    writers = NumberedEvents("RateWindow", "/here"), NumberedEvents("RateWindow", "/here")
    lists = [list(each) for writer in writers for count in (3, 2) for each in writer.headers(count)]
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
    timed = list(NumberedEvents("SignalRaised", "/here").timed_headers([0, 1_795_421_400_000_001]))
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

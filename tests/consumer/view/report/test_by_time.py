"""The time that a report is asked about, as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taskstream.consumer.view.report.by_time import by_time_us

NOW = datetime(2026, 11, 26, 22, 30, 15, tzinfo=UTC)
NOW_US = round(NOW.timestamp()) * 1_000_000


def by(text: str) -> str | None:
    found = by_time_us(text, NOW_US)
    return None if found is None else datetime.fromtimestamp(found / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("06:00", "2026-11-27T06:00:00"),
        ("6:00", "2026-11-27T06:00:00"),
        ("22:30", "2026-11-27T22:30:00"),
        ("22:31", "2026-11-26T22:31:00"),
        ("2026-11-28T06:00", "2026-11-28T06:00:00"),
        ("2026-11-28T06:00+02:00", "2026-11-28T04:00:00"),
        ("2026-11-28T06:00:00Z", "2026-11-28T06:00:00"),
        ("8h", "2026-11-27T06:30:15"),
        ("PT90M", "2026-11-27T00:00:15"),
    ],
)
def test_a_time_of_day_is_the_next_one_and_all_are_utc_without_an_offset(text, time):
    assert by(text) == time


@pytest.mark.parametrize(
    "text", ["24:00", "6", "tomorrow", "2026-11-26T22:30", "2020-01-01", "367d", "9" * 300 + "d", "0s", "", "06:00\n"]
)
def test_anything_else_and_what_is_past_or_too_far_is_no_time(text):
    assert by(text) is None

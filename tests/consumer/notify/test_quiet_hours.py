"""Quiet hours by the clock of a zone, over midnight, over changes of the clocks, and span after span."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from taskstream.consumer.notify.quiet_hours import EVERY_DAY, QuietHours

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = QuietHours(time(22), time(6), BERLIN)


def berlin(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-23T21:59:59", None),
        ("2026-11-23T22:00:00", "2026-11-24T06:00"),
        ("2026-11-24T05:59:59", "2026-11-24T06:00"),
        ("2026-11-24T06:00:00", None),
        ("2026-03-28T23:00:00", "2026-03-29T06:00"),
        ("2026-10-24T23:00:00", "2026-10-25T06:00"),
    ],
)
def test_they_begin_and_end_by_local_time(now, until):
    assert NIGHTS.until_s(berlin(now)) == (None if until is None else berlin(until))


def test_a_night_in_which_the_clocks_change_is_an_hour_shorter_or_longer():
    begins = [berlin(f"{day}T22:00") for day in ("2026-03-28", "2026-10-24", "2026-11-23")]

    assert [(NIGHTS.until_s(each) - each) / 3600 for each in begins] == [7, 9, 8]


def test_days_are_those_on_which_they_begin():
    friday = QuietHours(time(22), time(6), BERLIN, frozenset({4}))

    assert friday.until_s(berlin("2026-11-28T05:00")) == berlin("2026-11-28T06:00")
    assert friday.until_s(berlin("2026-11-28T23:00")) is None


def test_spans_that_touch_are_one():
    weekend = QuietHours(time(0), time(0), BERLIN, frozenset({5, 6}))

    assert weekend.until_s(berlin("2026-11-28T12:00")) == berlin("2026-11-30T00:00")


def test_quiet_hours_without_an_end_are_looked_at_for_a_week():
    always = QuietHours(time(0), time(0), BERLIN, EVERY_DAY)

    assert always.until_s(berlin("2026-11-28T12:00")) > berlin("2026-12-05T00:00")

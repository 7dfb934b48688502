"""Durations as people and as ISO 8601 write them."""

from __future__ import annotations

import pytest

from taskstream.schemas.durations import seconds_of_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("90s", 90),
        ("10m", 600),
        ("2h", 7_200),
        ("30d", 2_592_000),
        ("1w", 604_800),
        ("1h30m", 5_400),
        ("1.5h", 5_400),
        ("PT10M", 600),
        ("pt1h30m", 5_400),
        ("P1DT0.5S", 86_400.5),
        ("P30D", 2_592_000),
        ("0s", 0),
    ],
)
def test_a_duration_has_its_length(text, seconds):
    assert seconds_of_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "P", "PT", "10 m", "m10", "10x", "1m1h", "-5m", "1e3s", "٣s", "PT1,5S", "10M"]
)
def test_what_is_no_duration_is_none(text):
    assert seconds_of_duration(text) is None

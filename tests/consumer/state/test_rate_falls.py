"""In which minute the rate of a series fell."""

from __future__ import annotations

import numpy as np
import pytest

from taskstream.consumer.state.series import MINUTES, NONE, ROW
from taskstream.consumer.state.slowdowns.rate_falls import LEAST_MINUTES, find_falls

BUCKET_US = 60_000_000
OPEN_US = 29_000_000 * BUCKET_US


def falls(minutes: list[float], looked_until_us: int = 0) -> int:
    """The fall of a row with these complete minutes, as minutes before the open one; NONE if there is none."""
    rows, fell_us = np.zeros(1, ROW), np.zeros(1, np.int64)
    rows["minute_bytes"][0, MINUTES - len(minutes) :] = [round(1e9 * each) for each in minutes]
    rows["complete_minutes"], rows["open_minute"] = len(minutes), OPEN_US
    find_falls(rows, np.zeros(1, np.int64), np.array([looked_until_us]), BUCKET_US, fell_us)
    return NONE if fell_us[0] == NONE else (OPEN_US - int(fell_us[0])) // BUCKET_US


def wandering(count: int) -> list[float]:
    return np.exp(np.random.default_rng(4).normal(0.0, 0.05, count)).tolist()


@pytest.mark.parametrize("ago", [2, 3, 4, 5])
def test_a_halved_rate_fell_in_the_minute_in_which_it_halved(ago: int) -> None:
    minutes = wandering(30)
    assert falls(minutes[:-ago] + [each / 2 for each in minutes[-ago:]]) == ago


def test_a_doubled_rate_and_a_steady_one_did_not_fall() -> None:
    minutes = wandering(30)
    assert falls(minutes) == NONE
    assert falls(minutes[:-3] + [each * 2 for each in minutes[-3:]]) == NONE


def test_a_row_that_is_read_again_has_the_fall_of_its_last_half_hour() -> None:
    minutes = wandering(30)
    halved = minutes[:22] + [each / 2 for each in minutes[22:]]
    assert falls(halved) == 8
    assert falls(halved, OPEN_US - BUCKET_US) == NONE, "as of the newest minute the step is too old"


def test_minutes_that_were_looked_at_are_not_looked_at_again() -> None:
    minutes = wandering(30)
    halved = minutes[:-3] + [each / 2 for each in minutes[-3:]]
    assert falls(halved, OPEN_US) == NONE
    assert falls(halved, OPEN_US - BUCKET_US) == 3


def test_a_young_series_has_no_falls_yet() -> None:
    minutes = wandering(LEAST_MINUTES + 3)
    halved = minutes[:-3] + [each / 2 for each in minutes[-3:]]
    assert falls(halved[1:]) == NONE
    assert falls(halved) == 3

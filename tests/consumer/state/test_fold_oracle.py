"""The fold and the plain oracle agree: every column, window and signal, to the last bit."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.series import Trend
from taskstream.consumer.state.series_table import SeriesTable, Settings
from tests.consumer.oracle.comparison import RecordedTable, comparable, differences, expected_rows, rows_of
from tests.consumer.oracle.oracle import Oracle
from tests.consumer.oracle.oracle_rates import judge
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import START, US, Chapter, jumbles, lives, series_name, stream_of
from tests.consumer.oracle.trend_row import trend_row
from tests.examples import examples

FIGURES = ("trend_change_pct", "trend_slope_pct", "log_rate_sd")
BUCKETS_S = (60.0, 60.0, 60.0, 1.0, 7.5)


@examples(250)
@given(lives(), st.integers(0, 9), st.sampled_from(BUCKETS_S))
def test_lives_end_as_the_oracle_says(lives_: list[list[Chapter]], seed: int, bucket_s: float) -> None:
    assert_like_the_oracle(stream_of(lives_, seed), bucket_s)


@examples(100)
@given(jumbles(), st.sampled_from(BUCKETS_S))
def test_senseless_reports_end_as_the_oracle_says(events: list[Event], bucket_s: float) -> None:
    assert_like_the_oracle(events, bucket_s)


@examples(40)
@given(lives(), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 7200)), max_size=4))
def test_what_a_clock_marks_as_silent_goes_on_as_the_oracle_says(
    lives_: list[list[Chapter]], looks: list[tuple[int, int]]
) -> None:
    events = stream_of(lives_)
    table, oracle = RecordedTable(SeriesTable()), Oracle()
    folded = 0
    for place, later_s in sorted(looks):
        while folded < min(place, len(events)):
            table.fold(events[folded : folded + 1])
            oracle.fold(events[folded])
            folded += 1
        now = max((each.received_at for each in events[:folded]), default=START) + later_s * US
        for key in table.mark_silent(now):
            oracle.silence(key, now)
    table.fold(events[folded:])
    for event in events[folded:]:
        oracle.fold(event)
    assert_same(table, oracle)


@examples(250)
@given(st.integers(0, 10**6), st.integers(0, 30), st.floats(-0.05, 0.05), st.sampled_from((0.0, 0.02, 0.1, 0.4)))
def test_minutes_that_drift_and_break_are_judged_as_by_the_oracle(
    seed: int, count: int, drift: float, noise: float
) -> None:
    dice = random.Random(seed)
    breaks = dice.choice((count, dice.randint(0, count)))
    part = dice.choice((0.0, 0.45, 0.8, 1.3))
    level = [dice.gauss(20.0 + drift * place, noise) for place in range(count)]
    minute_bytes = [int(math.exp(each) * (1.0 if place < breaks else part)) for place, each in enumerate(level)]
    row, expected = trend_row(minute_bytes), judge(minute_bytes)
    assert (Trend(row["trend"]).name, bool(row["slow"])) == (expected.trend, expected.slow)
    figures = [None if math.isnan(row[name]) else float(row[name]) for name in FIGURES]
    assert figures == [expected.change_pct, expected.slope_pct, expected.deviation]


def test_a_hot_series_in_one_batch_of_thousands_ends_as_the_oracle_says() -> None:
    hot = [(kind, 60, seed) for seed in range(12) for kind in ("copy", "drift", "stale", "churn", "stall", "copy")]
    cold = [[("copy", 2, seed), ("stale", 1, seed)] for seed in range(60)]
    events = stream_of([hot, *cold])
    assert sum(event.series == series_name(0) for event in events) > 2_000
    assert_like_the_oracle(events)


@pytest.mark.slow
def test_a_batch_of_thousands_of_new_series_ends_as_the_oracle_says() -> None:
    assert_like_the_oracle(stream_of([[("copy", 2, number)] for number in range(4_000)]))


def assert_like_the_oracle(events: list[Event], bucket_s: float = 60.0) -> None:
    table = RecordedTable(SeriesTable(Settings(bucket_s=bucket_s))).fold(events)
    oracle = Oracle(table.table.settings.bucket_us, table.table.settings.eta_part)
    for event in events:
        oracle.fold(event)
    assert_same(table, oracle)


def assert_same(recorded: RecordedTable, oracle: Oracle) -> None:
    assert differences(rows_of(recorded.table), expected_rows(oracle)) == {}
    assert recorded.windows == comparable(oracle.windows)
    assert recorded.signals == comparable(oracle.signals)

"""The rules of the fold by example, one at a time."""

from __future__ import annotations

from typing import Any

import pytest

from taskstream.consumer.state.series import Health
from taskstream.consumer.state.series_table import SeriesTable
from tests.consumer.oracle.comparison import RecordedTable, rows_of
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import US, series_name

KEY = series_name(0)
NOON = 1_790_000_040 * US
"""A full minute."""


def report(at_s: float, done: int, percent: int = 1, total: int = 10**6, trace: str = "") -> Event:
    return Event(KEY, NOON + round(at_s * US), percent, done, total, {"process_trace": trace})


def folded(*events: Event) -> tuple[dict[str, Any], RecordedTable]:
    recorded = RecordedTable(SeriesTable()).fold(events)
    return rows_of(recorded.table)[KEY], recorded


def rate(row: dict[str, Any]) -> float:
    return float.fromhex(row["rate_fast_bps"])


def test_a_first_fall_is_held_and_changes_nothing_else() -> None:
    before, _ = folded(report(0, 100, trace="a"), report(10, 200, trace="b"))
    after, _ = folded(report(0, 100, trace="a"), report(10, 200, trace="b"), report(5, 50, 90, 7, "c"))
    assert {name for name in after if after[name] != before[name]} == {"reports", "held"}


def test_a_fall_that_is_taken_back_was_stale_and_leaves_the_rate_alone() -> None:
    with_stale, _ = folded(report(0, 0), report(10, 100), report(15, 50), report(20, 200))
    without, _ = folded(report(0, 0), report(10, 100), report(20, 200))
    assert {name for name in without if with_stale[name] != without[name]} == {"reports", "stale"}
    assert rate(with_stale) == 10.0


def test_a_second_fall_is_a_reset_and_the_rate_warms_up_anew() -> None:
    row, recorded = folded(report(0, 0), report(10, 1000), report(20, 10), report(30, 20))
    assert (row["resets"], row["samples"], row["rate_fast_bps"]) == (1, 0, None)
    assert (row["rated_from"], row["last_advance"]) == (NOON + 30 * US, NOON + 30 * US)
    assert [signal["signal"] for signal in recorded.signals[KEY]] == ["RESET"]
    recorded.fold([report(40, 120)])
    assert rate(rows_of(recorded.table)[KEY]) == 10.0


def test_a_reset_forgets_the_eta_and_its_signal_tells_none() -> None:
    copying = [report(10 * place, 1_000 * place) for place in range(20)]
    row, recorded = folded(*copying)
    assert row["eta_told"] is not None
    recorded.fold([report(200, 5), report(210, 10)])
    row, signal = rows_of(recorded.table)[KEY], recorded.signals[KEY][-1]
    assert (signal["signal"], signal["eta"], signal["trend_change_pct"]) == ("RESET", None, None)
    assert (row["eta_s"], row["eta_told"]) == (None, None)


def test_bytes_that_came_in_no_time_before_a_reset_stay_in_their_minute() -> None:
    _, recorded = folded(report(0, 0), report(10, 100), report(10, 150), report(20, 0), report(70, 0))
    assert recorded.windows[KEY][0]["bytes"] == 150


def test_a_report_from_before_the_last_one_is_clamped_and_counted() -> None:
    row, _ = folded(report(0, 0), report(10, 100), report(4, 160))
    assert (row["skewed"], row["last_seen"], row["replicatesize"]) == (1, NOON + 10 * US, 160)
    assert (row["samples"], rate(row)) == (1, 10.0)


def test_bytes_in_no_time_count_towards_the_next_sample() -> None:
    row, _ = folded(report(0, 0), report(10, 100), report(10, 200), report(20, 200))
    assert (row["samples"], rate(row)) == (2, 10.0)


def test_an_identical_report_is_a_sample_of_no_bytes() -> None:
    row, _ = folded(report(0, 0), report(60, 600), report(120, 600))
    assert row["samples"] == 2
    assert rate(row) == pytest.approx(10.0 / 3.0)


def test_percent_that_falls_while_bytes_do_not_is_a_regression_and_the_latest_wins() -> None:
    row, _ = folded(report(0, 0, 50), report(10, 100, 40))
    assert (row["regressions"], row["progress"], row["held"]) == (1, 40, False)


def test_a_total_is_taken_as_it_comes() -> None:
    row, _ = folded(report(0, 0, total=5), report(10, 100, total=3))
    assert row["totalsize"] == 3


def copying(gap_s: int, until_s: int = 0) -> list[Event]:
    """A copy that advanced with each report for 15 minutes until `until_s`."""
    return [report(at_s, 1_000 + at_s) for at_s in range(until_s - 900, until_s + 1, gap_s)]


@pytest.mark.parametrize(("last_s", "health"), [(60, "OK"), (60.000001, "NO_PROGRESS")])
def test_no_progress_is_no_growth_for_longer_than_a_minute(last_s: float, health: str) -> None:
    same = [report(10 * place, 1_000) for place in range(1, 6)]
    row, _ = folded(*copying(10), *same, report(last_s, 1_000))
    assert row["health"] == health


@pytest.mark.parametrize(("last_s", "health"), [(190, "OK"), (190.000001, "NO_PROGRESS")])
def test_a_series_of_less_than_ten_minutes_has_three_minutes(last_s: float, health: str) -> None:
    same = [report(10 * place, 100) for place in range(1, 7)]
    row, _ = folded(report(0, 0), *same, report(last_s, 100))
    assert row["health"] == health


@pytest.mark.parametrize(("last_s", "health"), [(600, "OK"), (600.000001, "NO_PROGRESS")])
def test_a_series_that_never_advanced_has_ten_minutes(last_s: float, health: str) -> None:
    row, _ = folded(*[report(10 * place, 0) for place in range(59)], report(last_s, 0))
    assert row["health"] == health


@pytest.mark.parametrize(("last_s", "stalled"), [(150, False), (180, True)])
def test_two_and_a_half_gaps_are_the_limit_of_a_series_that_advances_evenly(last_s: int, stalled: bool) -> None:
    same = [report(at_s, 1_000) for at_s in range(30, last_s + 1, 30)]
    row, _ = folded(*copying(60), *same)
    assert (row["health"] == "NO_PROGRESS", row["last_advance"]) == (stalled, NOON)


def test_the_pause_between_bursts_is_no_stall() -> None:
    """A minute of data, then two without."""
    done, events = 0, []
    for place in range(360):
        done += 1_000 if place % 18 < 6 else 0
        events.append(report(10 * place, done))
    _, recorded = folded(*events)
    assert "NO_PROGRESS" not in {each["signal"] for each in recorded.signals[KEY]}
    _, recorded = folded(*events, *[report(3_600 + 10 * place, done) for place in range(30)])
    assert "NO_PROGRESS" in {each["signal"] for each in recorded.signals[KEY]}


def test_one_outage_raises_the_limit_by_little() -> None:
    row, _ = folded(*copying(10), report(86_400, 2_000), *copying(10, until_s=90_000))
    assert float.fromhex(row["stall_limit_s"]) == 60.0


def test_percent_alone_is_progress() -> None:
    row, _ = folded(report(0, 0, 1), report(50, 0, 2), report(100, 0, 3))
    assert (row["health"], row["last_advance"]) == ("OK", NOON + 100 * US)


def test_a_stall_and_its_end_are_one_signal_each() -> None:
    stalled = [report(10 * place, 100) for place in range(1, 24)]
    _, recorded = folded(report(0, 0), *stalled, report(240, 200), report(250, 300))
    health = [each for each in recorded.signals[KEY] if each["signal"] != "ETA_MOVED"]
    changes = [(each["signal"], each["before"], each["since"] - NOON) for each in health]
    assert changes == [("NO_PROGRESS", "OK", 10 * US), ("RESUMED", "NO_PROGRESS", 240 * US)]


def test_a_hundred_percent_is_complete_once_and_anything_less_resumes() -> None:
    _, recorded = folded(report(0, 0, 1), report(10, 5, 100), report(20, 5, 100), report(30, 9, 99))
    assert [each["signal"] for each in recorded.signals[KEY]] == ["COMPLETE", "RESUMED"]


def test_a_gap_of_hours_tells_its_older_part_as_one_window_and_the_newest_thirty_one_by_one() -> None:
    row, recorded = folded(report(0, 0), report(7200, 7200))
    windows = recorded.windows[KEY]
    assert [each["minutes"] for each in windows] == [1, 89, *[1] * 30]
    assert sum(each["bytes"] for each in windows) == 7200
    assert (row["minute_bytes"], row["complete_minutes"]) == ([60] * 30, 30)


def test_the_minute_of_a_reset_and_the_gap_before_it_are_not_complete() -> None:
    _, recorded = folded(report(0, 0), report(70, 70), report(250, 1), report(260, 2), report(400, 142))
    assert [each["complete"] for each in recorded.windows[KEY]] == [True, False, False, False, False, True]


def test_an_eta_takes_three_samples_and_a_minute() -> None:
    row, _ = folded(report(0, 0), report(20, 200), report(40, 400), report(59, 590))
    assert row["eta_s"] is None
    row, _ = folded(report(0, 0), report(20, 200), report(60, 600))
    assert row["eta_s"] is None
    row, _ = folded(report(0, 0), report(20, 200), report(40, 400), report(60, 600, total=1_600))
    assert float.fromhex(row["eta_s"]) == pytest.approx(100.0)


def test_a_stall_lowers_no_mean_of_the_eta_and_its_time_counts_up_to_the_limit() -> None:
    steady = [report(10 * place, 1_000 * place) for place in range(61)]
    stuck = [report(610 + 10 * place, 60_000) for place in range(60)]
    row, _ = folded(*steady)
    before = [float.fromhex(each) for each in row["eta_rates"]]
    assert before == pytest.approx([100.0] * 3)
    row, _ = folded(*steady, *stuck, report(1_210, 61_000))
    limit_s = float.fromhex(row["stall_limit_s"])
    assert float.fromhex(row["counted_s"]) == pytest.approx(600.0 + 60.0 + 10.0)  # the limit was 60 s before the stall
    assert limit_s > 60.0
    assert float.fromhex(row["eta_rates"][2]) == pytest.approx(61_000 / 670.0)


def test_a_gap_between_reports_counts_whole_when_bytes_came() -> None:
    """An agent that could not report while it copied: its bytes are not taken for a fast minute."""
    steady = [report(10 * place, 1_000 * place) for place in range(61)]
    row, _ = folded(*steady, report(4_200, 420_000))
    assert [float.fromhex(each) for each in row["eta_rates"]] == pytest.approx([100.0] * 3)
    assert float.fromhex(row["counted_s"]) == pytest.approx(4_200.0)


def test_claims_are_kept_at_half_and_three_quarters_and_forgotten_at_a_reset() -> None:
    copy = [report(10 * place, 1_000 * place, total=100_000) for place in range(81)]
    row, _ = folded(*copy[:50])
    assert row["claim_at"] == [-1, -1]
    row, _ = folded(*copy)
    assert row["claim_at"] == [NOON + 500 * US, NOON + 750 * US]
    assert [float.fromhex(each) for each in row["claim_eta_s"]] == pytest.approx([500.0, 250.0])
    assert all(float.fromhex(each) > 0.0 for each in row["claim_width"])
    row, _ = folded(*copy, report(810, 0, total=100_000), report(820, 1_000, total=100_000))
    assert (row["resets"], row["claim_at"], row["claim_eta_s"]) == (1, [-1, -1], [None, None])


def test_an_eta_that_moves_far_is_told_with_what_was_told_before() -> None:
    steady = [report(10 * place, 1_000 * place) for place in range(30)]
    slower = [report(300 + 10 * place, 30_000 + 100 * place) for place in range(90)]
    row, recorded = folded(*steady, *slower)
    moved = [each for each in recorded.signals[KEY] if each["signal"] == "ETA_MOVED"]
    assert moved
    assert all(each["eta"] > each["eta_before"] for each in moved)
    assert [each["eta_before"] for each in moved[1:]] == [each["eta"] for each in moved[:-1]]
    assert row["eta_told"] == moved[-1]["eta"]


def test_no_end_is_told_while_nothing_grows() -> None:
    steady = [report(10 * place, 1_000 * place) for place in range(30)]
    stuck = [report(300 + 10 * place, 29_000) for place in range(60)]
    row, recorded = folded(*steady, *stuck)
    said = [each["signal"] for each in recorded.signals[KEY]]
    assert said[-1] == "NO_PROGRESS"
    assert (row["eta_s"], row["eta_low_s"], row["eta_high_s"]) == (None, None, None)
    row, _ = folded(*steady, *stuck, report(900, 30_000))
    assert row["eta_s"] is not None


def test_an_end_that_moves_far_and_returns_within_minutes_is_not_signalled() -> None:
    done, events = 0, []
    for place in range(120):
        done += 200 if 60 <= place < 75 else 1_000
        events.append(report(10 * place, done))
    _, recorded = folded(*events)
    assert "ETA_MOVED" not in {each["signal"] for each in recorded.signals[KEY]}


@pytest.mark.parametrize(
    ("percent", "done", "total", "reason"),
    [
        (100, 7_000, 7_000, "COMPLETE"),
        (5, 7_000, 0, "TOTAL_UNKNOWN"),
        (5, 7_000, 6_999, "TOTAL_UNKNOWN"),
        (99, 7_000, 7_000, "CHECKING"),
        (5, 7_000, 7_001, "NONE"),
        (5, 7_000, 2**63 - 1, "TOO_FAR"),
    ],
)
def test_an_eta_is_withheld_with_its_reason(percent: int, done: int, total: int, reason: str) -> None:
    steady = [report(10 * place, 1_000 * place, total=total) for place in range(7)]
    row, _ = folded(*steady, report(70, done, percent, total))
    assert row["eta_reason"] == reason
    assert (row["eta_s"] is None) == (reason != "NONE")


def test_an_eta_is_withheld_from_a_young_a_stalled_and_a_rateless_series() -> None:
    assert folded(report(0, 0))[0]["eta_reason"] == "TOO_YOUNG"
    stuck = [report(10 * place, 1_000) for place in range(1, 50)]
    assert folded(*copying(10), *stuck)[0]["eta_reason"] == "STALLED"
    assert folded(*[report(10 * place, 0, place) for place in range(9)])[0]["eta_reason"] == "NO_RATE"


def growing(total_step: int, count: int = 90) -> list[Event]:
    """A copy of 1,000 bytes per report, of a total that grows with each report."""
    return [report(10 * place, 1_000 * place, total=10**6 + total_step * place) for place in range(count)]


@pytest.mark.parametrize(
    ("total_step", "reason"), [(900, "NONE"), (1_000, "NOT_CONVERGING"), (1_500, "NOT_CONVERGING")]
)
def test_a_total_that_grows_as_fast_as_the_copy_has_no_end(total_step: int, reason: str) -> None:
    row, _ = folded(*growing(total_step))
    assert row["eta_reason"] == reason
    assert (row["eta_s"] is None) == (reason != "NONE")


def test_a_total_that_is_corrected_once_still_has_an_end() -> None:
    corrected = [report(900 + 10 * place, 90_000 + 1_000 * place, total=10**9) for place in range(6)]
    row, _ = folded(*growing(0), *corrected)
    assert row["eta_reason"] == "NONE"


def test_a_lasting_fall_is_slow_until_the_rate_is_back() -> None:
    done, seen = 0, []
    recorded = RecordedTable(SeriesTable())
    for place in range(60 * 6):
        done += 200 if 20 <= place // 6 < 50 else 1_000
        recorded.fold([report(10 * place, done)])
        seen.append(rows_of(recorded.table)[KEY]["health"])
    changes = [each["signal"] for each in recorded.signals[KEY] if each["signal"] != "ETA_MOVED"]
    assert changes == ["SLOW", "RESUMED"]
    assert set(seen[24 * 6 : 50 * 6]) == {"SLOW"}
    assert seen[-1] == "OK"


def test_a_new_row_begins_without_any_figure() -> None:
    row, _ = folded(report(0, 500))
    figures = [name for name, value in row.items() if value is None]
    assert {"rate_fast_bps", "rate_slow_bps", "eta_s", "typical_gap_s", "log_rate_sd"} <= set(figures)
    assert (row["health"], row["trend"], row["first_seen"]) == (Health.OK.name, "WARMING", NOON)
    assert row["open_minute"] == NOON

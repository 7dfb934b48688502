"""The log of signals: bounded and in time order; and the sentences of signals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.view.json.signal_json import signal_json, signal_text
from taskstream.consumer.view.read_model.signal_log import RaisedSignal, SignalLog
from tests.consumer.view.views import MB, S, signal

MINUTE_US = 60 * S
NOON = 1_795_435_200 * S


def raised(at: int = NOON, word: str = "SILENT", **fields) -> RaisedSignal:
    return RaisedSignal(**signal(at, word, **fields))


def test_signals_of_a_task_come_in_time_order_whatever_order_they_arrived_in():
    log = SignalLog()
    log.add([raised(NOON + 2), raised(NOON), raised(NOON + 1)])
    assert [each.raised_at - NOON for each in log.of_task("project-1", "t-1")] == [0, 1, 2]


def test_signals_of_the_same_moment_stay_in_the_order_in_which_they_were_raised():
    log = SignalLog()
    log.add([raised(word="RESET"), raised(word="RESUMED")])
    assert [each.signal for each in log.of_task("project-1", "t-1")] == ["RESET", "RESUMED"]


def test_a_task_keeps_its_last_signals_alone():
    log = SignalLog(max_per_task=3)
    log.add([raised(NOON + place) for place in range(10)])
    assert [each.raised_at - NOON for each in log.of_task("project-1", "t-1")] == [7, 8, 9]
    assert len(log) == 3


def test_past_the_bound_of_all_the_task_that_raised_none_for_longest_loses_first():
    log = SignalLog(max_in_all=3)
    log.add([raised(task="p/quiet"), raised(task="p/busy"), raised(NOON + 1, task="p/busy")])
    log.add([raised(NOON + 2, task="p/new")])
    assert len(log) == 3
    assert log.of_task("p", "quiet") == ()
    assert len(log.of_task("p", "busy")) == 2


def test_the_tasks_that_signals_came_for_are_told_once_each():
    log = SignalLog()
    assert log.add([raised(), raised(NOON + 1), raised(task="p/other")]) == [("project-1", "t-1"), ("p", "other")]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50)), max_size=80))
def test_no_bound_is_ever_passed_and_what_is_kept_are_the_last_of_each_task(arrivals):
    log = SignalLog(max_per_task=5, max_in_all=12)
    for task, at in arrivals:
        log.add([raised(at, task=f"p/{task}")])
    held = [log.of_task("p", str(task)) for task in range(5)]
    assert sum(map(len, held)) == len(log) <= 12
    assert all(len(each) <= 5 for each in held)
    assert all([one.raised_at for one in each] == sorted(one.raised_at for one in each) for each in held)


@pytest.mark.parametrize(
    ("word", "fields", "said"),
    [
        ("SILENT", {}, "no report for 2 min (limit 1 min)"),
        (
            "NO_PROGRESS",
            {"last_advance": NOON - 75 * S},
            "no bytes for 1 min 15 s (limit 1 min), though reports arrive",
        ),
        ("NO_PROGRESS", {"limit_s": None}, "no bytes for 2 min, though reports arrive"),
        ("SLOW", {"trend_change_pct": -63.5}, "the last 5 min at 36 % of the rate before, now 10 MB/s"),
        ("SLOW", {"trend_change_pct": None, "rate_fast_bps": None}, "the last 5 min under half of the rate before"),
        ("RESUMED", {"before": "SILENT"}, "reports again after 15 min"),
        ("RESUMED", {"before": "NO_PROGRESS"}, "progress again after 15 min"),
        ("RESUMED", {"before": "SLOW"}, "back at its rate after 15 min"),
        ("RESUMED", {"before": "COMPLETE"}, "active again after 15 min"),
        ("RESET", {"replicatesize": 5 * MB}, "the copy restarted: 5 MB of 12 GB"),
        ("COMPLETE", {"replicatesize": 12_000 * MB}, "the subtask is complete, 12 GB of 12 GB"),
        ("COMPLETE", {"totalsize": 0}, "the subtask is complete"),
        ("ETA_MOVED", {"eta": NOON + 90 * S, "eta_before": NOON}, "the expected end is now 1 min 30 s later"),
        ("ETA_MOVED", {"eta": NOON, "eta_before": NOON + 90 * S}, "the expected end is now 1 min 30 s earlier"),
        ("ETA_MOVED", {"eta_before": NOON}, "the expected end has moved"),
        ("TURNED_GREEN", {}, "turned green"),
    ],
)
def test_a_signal_says_in_a_sentence_what_decided_it(word, fields, said):
    assert signal_text(raised(word=word, **fields), MINUTE_US) == said


def test_a_signal_is_shown_in_milliseconds_and_without_numbers_that_json_lacks():
    line = signal_json(raised(rate_fast_bps=float("nan"), eta=NOON), MINUTE_US)
    assert (line["raised_at_ms"], line["eta_ms"], line["eta_before_ms"]) == (NOON // 1000, NOON // 1000, None)
    assert line["rate_fast_bps"] is None

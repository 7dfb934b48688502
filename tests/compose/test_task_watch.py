"""A list of tasks that the stream keeps current; and the text in which a terminal shows tasks."""

from __future__ import annotations

import pytest

from taskstream.compose.cli.tasks.task_tables import fitting
from taskstream.compose.cli.tasks.task_text import (
    condition_of,
    ends_of,
    health_of,
    rate_of,
    size,
    span,
    spark,
    trend_of,
)
from taskstream.compose.errors import ViewRefused, ViewUnreachable
from taskstream.compose.task_watch import Snapshot, WatchedTasks
from taskstream.compose.view_client import StreamEvent, StreamLost
from taskstream.schemas.terminal_text import terminal_text


def task(task_id: str, progress: int = 0) -> dict[str, object]:
    return {"project_id": "p", "task_id": task_id, "progress": progress}


class FakeView:
    """The tasks or the error that a fetch returns, the number of fetches, and the time."""

    def __init__(self, *names: str) -> None:
        self.tasks = [task(name) for name in names]
        self.fetched = 0
        self.now_s = 100.0
        self.error: Exception | None = None

    def fetch(self) -> Snapshot:
        if self.error is not None:
            raise self.error
        self.fetched += 1
        return Snapshot(list(self.tasks), {"tasks": len(self.tasks)})

    def watched(self) -> WatchedTasks:
        watched = WatchedTasks(self.fetch, lambda: self.now_s)
        watched.refresh()
        return watched


def shown(watched: WatchedTasks) -> list[tuple[str, int]]:
    return [(each["task_id"], each["progress"]) for each in watched.tasks]


def test_a_change_of_a_listed_task_is_applied_and_other_tasks_are_ignored():
    watched = FakeView("a", "b").watched()
    watched.apply(StreamEvent("task", task("b", 7)))
    watched.apply(StreamEvent("task", task("c", 9)))
    assert shown(watched) == [("a", 0), ("b", 7)]


def test_a_task_that_left_is_removed():
    watched = FakeView("a", "b").watched()
    watched.apply(StreamEvent("left", task("a")))
    assert shown(watched) == [("b", 0)]


def test_the_list_is_fetched_again_after_the_refresh_interval():
    view = FakeView("a")
    watched = view.watched()
    watched.apply(StreamEvent("beat"))
    assert view.fetched == 1
    view.now_s += 4
    watched.apply(StreamEvent("beat"))
    assert view.fetched == 2


@pytest.mark.parametrize("event", [StreamEvent("reset"), StreamEvent("beat", {"lag_s": 3.5})])
def test_the_list_is_fetched_again_when_a_lost_stream_is_back(event):
    view = FakeView("a")
    watched = view.watched()
    watched.apply(StreamLost("broke off", 2.0))
    assert watched.lost == "broke off; next try in 2 s"
    watched.apply(event)
    assert (watched.lost, view.fetched) == (None, 2)


def test_a_transient_error_of_a_fetch_is_kept_and_the_fetch_retried():
    view = FakeView("a")
    watched = view.watched()
    view.error = ViewUnreachable("cannot be reached")
    watched.apply(StreamEvent("reset"))
    assert watched.lost == "cannot be reached"
    view.error = None
    watched.apply(StreamEvent("beat"))
    assert watched.lost is None


def test_a_final_error_of_a_fetch_is_raised():
    view = FakeView("a")
    watched = view.watched()
    view.error = ViewRefused("no valid credentials", 401)
    with pytest.raises(ViewRefused):
        watched.apply(StreamEvent("reset"))


def test_nothing_that_a_terminal_obeys_gets_through():
    assert terminal_text("a\x1b[2J\x9b\r\n\u202eb\tü中") == "a\\x1b[2J\\x9b\\r\\n\\u202eb\\tü中"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (999_600, "1 MB"), (12_345_678, "12.3 MB"), (3e15, "3 PB")]
)
def test_bytes_have_three_digits_and_a_unit(count, text):
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0 s"), (59.6, "1 min"), (3_661, "1 h 1 min"), (90_000, "1 d 1 h")])
def test_a_span_has_its_two_largest_units(seconds, text):
    assert span(seconds) == text


def test_a_sparkline_leaves_empty_minutes_empty_and_fills_the_highest():
    assert spark([0, 1, 50, 100]) == " ▁▄█"


def test_ends_and_trend_say_nothing_of_what_is_over():
    done = {"health": "COMPLETE", "trend": "STEADY", "trend_change_pct": None, "ends_at_ms": None}
    assert (ends_of(done, 0), trend_of(done)) == ("done", "-")


def test_an_end_that_is_not_known_comes_with_its_reason():
    task = {"health": "OK", "ends_at_ms": None}
    assert ends_of(task, 0) == "-"
    assert ends_of(task | {"eta_reason": "CHECKING", "eta_reason_text": "checking"}, 0) == "checking"


def test_a_task_that_moves_and_does_not_converge_is_named_so():
    assert condition_of({"health": "OK", "eta_reason": "NOT_CONVERGING"}) == "NOT_CONVERGING"
    assert condition_of({"health": "SLOW", "eta_reason": "NOT_CONVERGING"}) == "SLOW"
    assert condition_of({"health": "OK"}) == "OK"
    assert health_of("NOT_CONVERGING") == "not converging"


def test_ends_come_with_their_interval():
    task = {"health": "OK", "ends_at_ms": 600_000, "ends_from_ms": 540_000, "ends_to_ms": 720_000}
    assert ends_of(task, 0) == "in 10 min (9 min to 12 min)"


WIDTHS = {"health": 11, "task": 20, "project": 10, "bytes": 18, "last 30": 30, "why": 60}


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, ["health", "task", "project", "bytes", "last 30", "why"]),
        (139, ["health", "task", "project", "bytes", "last 30", "why"]),
        (130, ["health", "task", "bytes", "last 30", "why"]),
        (100, ["health", "task", "bytes", "why"]),
        (80, ["health", "task", "why"]),
        (20, ["health", "task", "why"]),
    ],
)
def test_a_narrow_terminal_does_without_the_columns_that_matter_least(width, columns):
    assert fitting(WIDTHS, width) == columns


def test_a_rate_of_what_is_silent_is_what_it_was_and_of_what_is_done_is_none():
    assert rate_of({"health": "SILENT", "rate_fast_bps": 5e6}) == "was 5 MB/s"
    assert rate_of({"health": "COMPLETE", "rate_fast_bps": 5e6}) == "-"
    assert rate_of({"health": "OK", "rate_fast_bps": None}) == "-"

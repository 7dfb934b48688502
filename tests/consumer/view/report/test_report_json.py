"""The report of a fleet: the ends of many tasks against those of single ones, and totals by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from taskstream.consumer.notes.note_decoder import NoteChange
from taskstream.consumer.notes.task_note import NoteKind, TaskNote
from taskstream.consumer.state.series import EtaReason, Health
from taskstream.consumer.view.json.task_json import task_summary
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.report.report_json import MOST_SLOWEST, MOST_STANDING, report_json
from taskstream.consumer.view.report.task_end_columns import task_end_columns
from tests.consumer.view.read_models import NOW, model, row
from tests.consumer.view.test_task_ends import CLOSE, COPY, copying, full, past, rated

S = 1_000_000
BYTES = 1_000_000_000
YOUNG = {
    **dict.fromkeys(("eta_s", "eta_low_s", "eta_high_s"), math.nan),
    "eta_reason": int(EtaReason.TOO_YOUNG),
    "first_seen": NOW - 30 * S,
    "last_seen": NOW,
}


def made_of(rows: dict[str, np.ndarray]) -> ReadModel:
    made = model(rows)
    for _ in range(10):
        made.update_health(NOW)
    return made


def report(made: ReadModel, within_s: float, project: str | None = None, labels_of=lambda *_: {}) -> dict:
    tasks = made.tasks.live
    if project is not None:
        tasks = tasks[made.tasks.project[tasks] == made.tasks.projects[project]]
    return report_json(made, tasks, project, labels_of, NOW + round(within_s * S), NOW)


@pytest.mark.parametrize("past_rows", [past(21, 300.0), rated(21, 0.1)], ids=["seconds", "parts"])
@pytest.mark.parametrize(
    "shown", [copying(9_500.0), copying(600.0), full(NOW - 900 * S, NOW - 20 * S), row(**YOUNG)], ids=str
)
def test_the_end_of_a_task_among_many_is_that_of_its_own_page(past_rows, shown):
    made = made_of(past_rows | {f"p/new/{COPY}": shown})
    task = made.tasks.find("p", "new")
    alone = task_summary(made, task, NOW)
    ends = task_end_columns(made, np.array([task]), 900.0, NOW)
    for column, name in ((ends.left_s, "at"), (ends.low_s, "from"), (ends.high_s, "to")):
        assert column[0] == pytest.approx(alone[f"task_ends_{name}_ms"] / 1000 - NOW / S, abs=0.01)
    assert ends.is_whole.tolist() == [True]


def test_the_probability_at_the_bounds_of_an_interval_is_a_tenth_and_nine():
    made = made_of(past(21, 300.0) | {f"p/new/{COPY}": copying()})
    alone = task_summary(made, made.tasks.find("p", "new"), NOW)
    tasks = np.array([made.tasks.find("p", "new")])
    for name, chance in (("from", 0.1), ("at", 0.5), ("to", 0.9)):
        within_s = alone[f"task_ends_{name}_ms"] / 1000 - NOW / S
        assert task_end_columns(made, tasks, within_s, NOW).chance[0] == pytest.approx(chance, abs=0.001)


def test_the_time_since_the_last_report_counts():
    """Heard 40 s ago, with 600 s left by then: 560 s are left, and 10 percent is at 540 - 40."""
    copy = copying(600.0)
    copy["last_seen"] -= 40 * S
    made = made_of({f"p/new/{COPY}": copy})
    ends = task_end_columns(made, made.tasks.live, 500.0, NOW)
    assert [each[0] for each in (ends.left_s, ends.low_s)] == pytest.approx([560.0, 500.0])
    assert ends.chance[0] == pytest.approx(0.1)


def test_the_interval_is_corrected_by_how_past_ones_held():
    """Thirty claims that were all wrong by two half-widths: the interval is twice as wide, 600 to both sides times 0.81."""
    late = full(NOW - 5_000 * S, NOW)
    late["claim_at"] = -1
    late["claim_at"][0, 0] = NOW - round(1_000.0 * math.exp(0.2) * S)
    late["claim_eta_s"][0, 0], late["claim_width"][0, 0] = 1_000.0, 0.1
    made = made_of({f"p/late-{at}/{COPY}": late for at in range(30)} | {f"p/new/{COPY}": copying(600.0)})
    tasks = np.array([made.tasks.find("p", "new")])
    ends = task_end_columns(made, tasks, 600.0 * 0.81, NOW)
    shown = task_summary(made, int(tasks[0]), NOW)
    assert ends.low_s[0] == pytest.approx(600.0 * 0.81, rel=1e-3)
    assert ends.high_s[0] == pytest.approx(shown["ends_to_ms"] / 1000 - NOW / S, abs=0.01)
    assert ends.chance[0] == pytest.approx(0.1, abs=1e-3)


def test_before_enough_tasks_ended_the_end_is_that_of_the_subtask():
    made = made_of({f"p/new/{COPY}": copying(600.0)})
    ends = task_end_columns(made, made.tasks.live, 600.0 / 0.9, NOW)
    assert (ends.left_s.tolist(), ends.is_whole.tolist()) == ([pytest.approx(600.0)], [False])
    assert ends.chance[0] == pytest.approx(0.9)


def test_a_task_between_two_subtasks_ends_as_those_that_waited_as_long():
    """21 tasks ended 270, 273, ... 330 s after their copies: of the 11 that lasted 299 s, the first three by 307 s."""
    made = made_of(past(21, 300.0) | {f"p/new/{COPY}": full(NOW - 900 * S, NOW - 299 * S)})
    ends = task_end_columns(made, np.array([made.tasks.find("p", "new")]), 8.0, NOW)
    assert ends.chance[0] == pytest.approx(3 / 11)


@pytest.mark.parametrize(
    "columns",
    [
        {"health": int(Health.NO_PROGRESS)},
        {"health": int(Health.SILENT), "silent_since": NOW},
        YOUNG | {"eta_reason": int(EtaReason.NOT_CONVERGING)},
    ],
)
def test_a_task_without_an_end_has_no_probability_and_counts_as_not_ended(columns):
    made = made_of(past(21, 300.0) | {f"p/new/{COPY}": row(**columns)})
    ended = report(made, 86_400.0)["total"]["ended_by"]
    assert (ended["complete"], ended["expected"], ended["low"], ended["high"]) == (21, 21.0, 21, 21)
    assert (ended["foretold"], ended["unknown"]) == (0, 1)


def test_totals_by_hand():
    """p: two at 0.9, so 1.8 expected; 0.9 * 0.1 twice is a variance of 0.18, a deviation of 0.4243: 0.76 to 2.84."""
    sizes = {"replicatesize": 3 * BYTES, "totalsize": 4 * BYTES}
    copies = {f"p/copy-{at}/{COPY}": copying(900.0) for at in range(2)}
    for each in copies.values():
        for name, value in sizes.items():
            each[name] = value
    stuck = row(health=int(Health.NO_PROGRESS), replicatesize=BYTES, totalsize=2 * BYTES)
    ended = full(NOW - 900 * S, NOW - 500 * S)
    ended["replicatesize"] = ended["totalsize"] = 2 * BYTES
    made = made_of(copies | {f"p/stuck/{COPY}": stuck, f"q/done/{CLOSE}": ended})
    found = report(made, 1_000.0)
    assert [each["project_id"] for each in found["projects"]] == ["p", "q"]
    p, q = found["projects"]
    assert (p["tasks"], p["health"]["OK"], p["health"]["NO_PROGRESS"], p["health"]["COMPLETE"]) == (3, 2, 1, 0)
    assert p["stages"] == [{"subtask_name": COPY, "tasks": 3}]
    assert (p["bytes_done"], p["bytes_total"], p["done_pct"]) == (7 * BYTES, 10 * BYTES, 70.0)
    assert p["rate_bps"] == 30e6
    assert p["ended_by"] == {
        "complete": 0,
        "expected": 1.8,
        "low": 1,
        "high": 2,
        "foretold": 2,
        "of_subtask": 2,
        "unknown": 1,
    }
    assert (q["tasks"], q["stages"], q["done_pct"], q["rate_bps"]) == (1, [], 100.0, 0.0)
    assert q["ended_by"]["complete"] == q["ended_by"]["low"] == q["ended_by"]["high"] == 1
    total = found["total"]
    assert (total["tasks"], total["bytes_done"], total["bytes_total"]) == (4, 9 * BYTES, 12 * BYTES)
    assert (total["ended_by"]["expected"], total["ended_by"]["low"], total["ended_by"]["high"]) == (2.8, 2, 3)


def test_the_slowest_are_those_that_end_last():
    made = made_of({f"p/t-{at:02d}/{COPY}": copying(100.0 * (1 + at)) for at in range(15)})
    found = report(made, 1_000.0)["slowest"]
    assert [each["task_id"] for each in found] == [f"t-{at:02d}" for at in range(14, 14 - MOST_SLOWEST, -1)]
    first = found[0]
    assert first["ends_at_ms"] == pytest.approx(NOW / 1000 + 1_500_000, abs=1)
    assert first["chance"] < 0.001
    assert report(made, 3_000.0)["slowest"][0]["chance"] > 0.999
    assert (first["bytes_left"], first["health"], first["is_whole"]) == (6 * BYTES, "OK", False)


def test_what_stands_still_is_listed_the_longest_first_with_its_note():
    stuck = {
        f"p/t-{at:02d}/{COPY}": row(
            health=int(Health.NO_PROGRESS), health_since=NOW - (60 + 20 * at) * 60 * S, last_advance=NOW - 3_600 * S
        )
        for at in range(25)
    }
    made = made_of(stuck)
    note = TaskNote("p", "t-24", NoteKind.MUTED, "network team", "ops", NOW, NOW + 3_600 * S)
    made.notes.apply([NoteChange(("p", "t-24"), note, 0)], NOW)
    found = report(made, 1_000.0)
    assert (found["standing_count"], len(found["standing"])) == (25, MOST_STANDING)
    assert [each["task_id"] for each in found["standing"][:2]] == ["t-24", "t-23"]
    assert found["standing"][0]["health_since_ms"] == (NOW - (60 + 20 * 24) * 60 * S) // 1000
    assert [each["note"] and each["note"]["note"] for each in found["standing"][:2]] == ["network team", None]
    assert found["stopped_together"] == []


def test_what_stopped_together_says_what_the_tasks_have_in_common():
    def stopped(minutes_ago: int, health: Health) -> np.ndarray:
        at = NOW - minutes_ago * 60 * S
        silent = {"last_seen": at, "silent_since": at} if health == Health.SILENT else {}
        return row(health=int(health), health_since=at, last_advance=at, **silent)

    rows = {f"p/web-{at}/{COPY}": stopped(200 + at, Health.SILENT) for at in range(3)}
    rows |= {f"q/db/{CLOSE}": stopped(201, Health.NO_PROGRESS), f"q/other/{COPY}": stopped(20, Health.SILENT)}
    hosts = {"web-0": {"host": "esx-1", "owner": "ann"}, "web-2": {"host": "esx-1"}, "db": {"host": "esx-1"}}
    made = made_of(rows)
    (found,) = report(made, 1_000.0, labels_of=lambda _, task_id: hosts.get(task_id, {}))["stopped_together"]
    assert found["labels"] == [{"label": "host", "value": "esx-1", "tasks": 3}]
    assert (found["tasks"], found["silent"]) == (4, 3)
    assert found["begin_ms"] == (NOW - 202 * 60 * S) // 1000
    assert found["end_ms"] == (NOW - 200 * 60 * S) // 1000
    assert found["projects"] == [{"project_id": "p", "tasks": 3}, {"project_id": "q", "tasks": 1}]
    assert found["subtasks"] == [{"subtask_name": COPY, "tasks": 3}, {"subtask_name": CLOSE, "tasks": 1}]


def test_a_report_of_no_task_has_nothing():
    found = report_json(model({}), np.zeros(0, np.int64), None, lambda *_: {}, NOW + S, NOW)
    assert found["total"]["tasks"] == found["project_count"] == found["standing_count"] == 0
    assert found["total"]["done_pct"] is None
    assert found["projects"] == found["slowest"] == found["standing"] == found["stopped_together"] == []

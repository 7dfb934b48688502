"""The end of a whole task: the ETA of its current subtask, and what other tasks did after it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from taskstream.consumer.state.series import EtaReason, Health
from taskstream.consumer.view.json.fleet_json import fleet_json
from taskstream.consumer.view.json.task_json import task_detail, task_summary
from taskstream.consumer.view.read_model.read_model import ReadModel
from tests.consumer.view.read_models import NOW, changes, model, row

S = 1_000_000
COPY, CLOSE = "MIGRATE_LINUX_FILE", "CONFIGURE_LINUX"


def full(began_us: int, ended_us: int) -> np.ndarray:
    times = {"first_seen": began_us, "last_seen": ended_us, "last_advance": ended_us, "health_since": ended_us}
    return row(progress=100, health=int(Health.COMPLETE), eta_s=math.nan, eta_reason=int(EtaReason.COMPLETE), **times)


def past(count: int, after_s: float, project: str = "p", copied_s: float = 1_000.0) -> dict[str, np.ndarray]:
    """Complete tasks: a copy, then 90 to 110 percent of `after_s` until the configuration is complete."""
    rows = {}
    for number in range(count):
        copied_us = NOW - 5_000 * S
        ended_us = copied_us + round(after_s * (0.9 + 0.2 * number / max(count - 1, 1)) * S)
        rows[f"{project}/past-{number}/{COPY}"] = full(copied_us - round(copied_s * S), copied_us)
        rows[f"{project}/past-{number}/{CLOSE}"] = full(copied_us + S, ended_us)
    return rows


def copying(eta_s: float = 600.0) -> np.ndarray:
    return row(eta_s=eta_s, eta_low_s=eta_s * 0.9, eta_high_s=eta_s / 0.9, first_seen=NOW - 500 * S, last_seen=NOW)


def end_s(made: ReadModel, task_id: str) -> tuple[float, ...]:
    shown = task_summary(made, made.tasks.find("p", task_id), NOW)
    names = ("task_ends_at_ms", "task_ends_from_ms", "task_ends_to_ms")
    return tuple(math.nan if shown[name] is None else shown[name] / 1000 - NOW / S for name in names)


def rated(count: int, part: float) -> dict[str, np.ndarray]:
    """Complete tasks: copies of a thousand to some thousand seconds, each followed by this part of its time."""
    rows = {}
    for number in range(count):
        copied_s, copied_us = 1_000.0 * (1 + number % 7), NOW - 50_000 * S
        rows[f"p/past-{number}/{COPY}"] = full(copied_us - round(copied_s * S), copied_us)
        rows[f"p/past-{number}/{CLOSE}"] = full(copied_us + S, copied_us + round(part * copied_s * S))
    return rows


def test_what_follows_is_a_part_of_the_copys_time_where_that_fits_better() -> None:
    made = model(rated(21, 0.1) | {f"p/new/{COPY}": copying(9_500.0)})  # 500 s ago it began: 10,000 s in all
    assert end_s(made, "new")[0] == pytest.approx(9_500.0 + 1_000.0, rel=0.01)
    plain = model(past(21, 300.0) | {f"p/new/{COPY}": copying(9_500.0)})
    assert end_s(plain, "new")[0] == pytest.approx(9_500.0 + 300.0, rel=0.01)


def test_a_configuration_without_an_eta_lasts_a_part_of_the_copys_time_too() -> None:
    rows = rated(21, 0.1) | {f"p/new/{COPY}": full(NOW - 10_100 * S, NOW - 100 * S)}
    made = model(rows | {f"p/new/{CLOSE}": row(eta_s=math.nan, first_seen=NOW - 99 * S, last_seen=NOW)})
    assert end_s(made, "new")[0] == pytest.approx(1_000.0 - 100.0, rel=0.02)


@pytest.mark.parametrize("past_rows", [past(21, 300.0), rated(21, 0.1), {}], ids=["seconds", "parts", "unknown"])
def test_the_fleet_ends_when_its_last_task_does(past_rows: dict[str, np.ndarray]) -> None:
    made = model(past_rows | {f"p/new/{COPY}": copying(9_500.0), f"p/other/{COPY}": copying(60.0)})
    made.update_health(NOW)
    shown = task_summary(made, made.tasks.find("p", "new"), NOW)
    expected_ms = shown["task_ends_at_ms"] or shown["ends_at_ms"]
    assert fleet_json(made, made.tasks.live, NOW)["ends_at_ms"] == pytest.approx(expected_ms, abs=2)


def basis(made: ReadModel, task_id: str) -> str | None:
    return task_summary(made, made.tasks.find("p", task_id), NOW)["task_ends_basis"]


def test_a_task_ends_after_its_copy_and_what_followed_it_in_others() -> None:
    made = model(past(21, 300.0) | {f"p/new/{COPY}": copying()})
    middle, low, high = end_s(made, "new")
    assert middle == pytest.approx(900.0, rel=0.02)
    assert low < 600.0 + 300.0 - 60.0 + 1.0
    assert 960.0 < high < 1_000.0
    assert basis(made, "new") == f"its ETA, and what followed {COPY} in 21 tasks of the project"


def test_it_says_nothing_before_enough_tasks_ended_and_then_learns_from_other_projects_too() -> None:
    made = model(past(9, 300.0) | {f"p/new/{COPY}": copying()})
    assert math.isnan(end_s(made, "new")[0])
    assert basis(made, "new") is None
    made = model(past(9, 300.0) | past(10, 300.0, "q") | {f"p/new/{COPY}": copying()})
    assert basis(made, "new") == f"its ETA, and what followed {COPY} in 19 tasks of all projects"


def test_between_two_subtasks_the_time_that_passed_counts() -> None:
    made = model(past(21, 300.0) | {f"p/new/{COPY}": full(NOW - 900 * S, NOW - 200 * S)})
    assert end_s(made, "new")[0] == pytest.approx(100.0, rel=0.05)


def test_a_copy_without_an_eta_yet_ends_as_others_that_began_alike() -> None:
    begun = row(
        eta_s=math.nan,
        eta_low_s=math.nan,
        eta_high_s=math.nan,
        eta_reason=int(EtaReason.TOO_YOUNG),
        first_seen=NOW - 30 * S,
        last_seen=NOW,
    )
    made = model(past(21, 300.0) | {f"p/new/{COPY}": begun})
    assert end_s(made, "new")[0] == pytest.approx(1_270.0, rel=0.02)


@pytest.mark.parametrize("health", [Health.NO_PROGRESS, Health.SILENT])
def test_no_end_is_foretold_of_a_task_that_does_not_move(health: Health) -> None:
    stuck = copying()
    stuck["health"] = int(health)
    if health == Health.SILENT:
        stuck["silent_since"] = stuck["last_seen"]
    made = model(past(21, 300.0) | {f"p/new/{COPY}": stuck})
    assert math.isnan(end_s(made, "new")[0])


def test_a_task_that_is_dropped_is_forgotten_and_one_that_ends_is_learnt() -> None:
    rows = past(10, 300.0)
    made = model(rows | {f"p/new/{COPY}": copying()})
    assert basis(made, "new") is not None
    made.apply(changes({}, dropped=[key for key in rows if "/past-0/" in key]), NOW + 11 * S)
    shown = task_summary(made, made.tasks.find("p", "new"), NOW + 11 * S)
    assert shown["task_ends_basis"] is None
    made.apply(changes({key.replace("past-0", "again"): each for key, each in rows.items() if "/past-0/" in key}), NOW)
    shown = task_summary(made, made.tasks.find("p", "new"), NOW + 22 * S)
    assert shown["task_ends_basis"] == f"its ETA, and what followed {COPY} in 10 tasks of the project"


def ahead(made: ReadModel, task_id: str) -> tuple[list[tuple[str, float]], str | None]:
    shown = task_detail(made, made.tasks.find("p", task_id), (), NOW)
    return [(each["subtask_name"], each["lasts_s"]) for each in shown["stages_ahead"]], shown["stages_ahead_basis"]


def test_the_stages_to_come_are_those_that_followed_in_most_ended_tasks() -> None:
    made = model(rated(21, 0.1) | {f"p/new/{COPY}": copying(9_500.0)})
    ((name, lasts_s),), basis_of = ahead(made, "new")
    assert (name, basis_of) == (CLOSE, "21 tasks of the project")
    assert lasts_s == pytest.approx(400.0, abs=1.0)  # the median of a tenth of 1,000 to 7,000 seconds


def test_no_stage_is_to_come_of_a_complete_task_or_before_enough_tasks_ended() -> None:
    made = model(rated(9, 0.1) | {f"p/new/{COPY}": copying(9_500.0)})
    assert ahead(made, "new") == ([], None)
    assert ahead(model(rated(21, 0.1)), "past-1") == ([], None)

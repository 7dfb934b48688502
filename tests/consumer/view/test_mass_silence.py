"""Which tasks fell silent together: many of one project within minutes, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from taskstream.consumer.view.http.tasks_api import list_tasks
from taskstream.consumer.view.read_model.mass_silence import LEAST_TASKS, MOST, MassSilence, mass_silences
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.caller import Caller, Role
from tests.consumer.view.read_models import NOW, model, row
from tests.consumer.view.views import S

OPERATOR = Caller("operations", frozenset({Role.OPERATE}))
HOUR = 3_600 * S


def tasks(project: str, count: int, first_seen_last: int, apart: int, **columns) -> dict[str, np.ndarray]:
    """Rows of tasks of a project, whose last reports are `apart` microseconds apart."""
    times = [first_seen_last + number * apart for number in range(count)]
    return {
        f"{project}/{first_seen_last}-{number:04d}/CONFIGURE_LINUX": row(last_seen=at, last_advance=at, **columns)
        for number, at in enumerate(times)
    }


def found(rows: dict[str, np.ndarray]) -> list[MassSilence]:
    made = model(rows)
    return mass_silences(made, made.tasks.live)


def test_many_tasks_of_a_project_within_minutes_are_one():
    (each,) = found(tasks("p", 25, NOW - HOUR, S) | tasks("q", 3, NOW - HOUR, S))
    assert (each.project_id, each.tasks.shape[0]) == ("p", 25)
    assert (each.begin_us, each.end_us) == (NOW - HOUR, NOW - HOUR + 24 * S)


def test_two_at_different_times_are_two_and_the_larger_comes_first():
    rows = tasks("p", 20, NOW - HOUR, S) | tasks("p", 30, NOW - HOUR // 2, S) | tasks("q", 22, NOW - HOUR, S)
    assert [(each.project_id, each.tasks.shape[0]) for each in found(rows)] == [("p", 30), ("q", 22), ("p", 20)]


@pytest.mark.parametrize(
    "rows",
    [
        tasks("p", LEAST_TASKS - 1, NOW - HOUR, S),
        tasks("p", 30, NOW - HOUR, 31 * S),
        tasks("p", 30, NOW - HOUR, 20 * S),
        tasks("p", 20, NOW - HOUR, S) | tasks("p", 181, NOW - 10 * S, 0),
        tasks("p", 30, NOW - HOUR, S, progress=100, health=3),
        tasks("p", 10, NOW - HOUR, S) | tasks("q", 10, NOW - HOUR, S),
        {},
    ],
    ids=["few", "far apart", "over ten minutes", "under a tenth", "complete", "of two projects", "none"],
)
def test_what_is_none(rows):
    assert found(rows) == []


def test_they_are_bounded_in_number():
    rows: dict[str, np.ndarray] = {}
    for number in range(MOST + 3):
        rows |= tasks(f"p{number}", LEAST_TASKS, NOW - HOUR, S)
    assert len(found(rows)) == MOST


def shown(made: ReadModel, **parameters: str):
    return list_tasks(made, TaskNames(made), OPERATOR, parameters, NOW)


def test_a_list_can_leave_them_out_and_says_so_beside_its_tasks():
    made = model(tasks("p", 25, NOW - HOUR, S) | tasks("q", 3, NOW - HOUR, S) | tasks("p", 4, NOW - S, 0))
    folded = shown(made, fold="silences")
    assert folded["folded"] == [
        {"project_id": "p", "count": 25, "begin_ms": (NOW - HOUR) // 1000, "end_ms": (NOW - HOUR + 24 * S) // 1000}
    ]
    assert (folded["count"], len(folded["tasks"])) == (7, 7)
    assert (shown(made)["folded"], shown(made)["count"]) == ([], 32)
    assert shown(made, fold="silences", health="OK")["folded"] == []


def test_another_fold_is_refused():
    with pytest.raises(ApiError, match="must be silences"):
        shown(model({}), fold="all")

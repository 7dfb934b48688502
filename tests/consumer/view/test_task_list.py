"""The selection and the order of tasks: whole columns compared with one task at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from taskstream.consumer.state.series import EtaReason, Health, Trend
from taskstream.consumer.view.json.task_json import task_summary
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_list import (
    MAX_LIMIT,
    SORTS,
    page_of,
    parse_filter,
    select_tasks,
)
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.caller import Caller, Role
from tests.consumer.view.fleets import fleet
from tests.consumer.view.read_models import NOW, model, names, row
from tests.consumer.view.views import S

OPERATOR = Caller("operations", frozenset({Role.OPERATE}))
READER = Caller("project-1", frozenset({Role.READ}))


@pytest.fixture(scope="module")
def busy() -> ReadModel:
    return model(fleet(NOW, 120)[0])


def found(made: ReadModel, caller: Caller = OPERATOR, **parameters: str) -> set[str]:
    return set(names(made, select_tasks(made, TaskNames(made), parse_filter(parameters, caller))))


def lines(made: ReadModel) -> list[dict[str, Any]]:
    return [task_summary(made, task, NOW) for task in made.tasks.live.tolist()]


def those(made: ReadModel, true) -> set[str]:
    return {f"{line['project_id']}/{line['task_id']}" for line in lines(made) if true(line)}


def test_nothing_asked_is_all_for_an_operator_and_ones_own_for_a_project(busy):
    assert len(found(busy)) == 120
    assert found(busy, READER) == those(busy, lambda line: line["project_id"] == "project-1")


def test_a_project_may_name_itself_and_no_other():
    assert parse_filter({"project": "project-1"}, READER).only_project == "project-1"
    with pytest.raises(ApiError, match="give access to project 'project-1' only"):
        parse_filter({"project": "project-2"}, READER)


@pytest.mark.parametrize("word", [each.name for each in Health])
def test_health_selects(busy, word):
    assert found(busy, health=word) == those(busy, lambda line: line["health"] == word)


@pytest.mark.parametrize("word", [each.name for each in Trend])
def test_trend_selects(busy, word):
    assert found(busy, trend=word) == those(busy, lambda line: line["trend"] == word)


@pytest.fixture(scope="module")
def withheld() -> ReadModel:
    """One task with each reason of a withheld end, and one with an end."""
    no_eta = dict.fromkeys(("eta_s", "eta_low_s", "eta_high_s"), np.nan)
    rows = {}
    for reason in EtaReason:
        columns = no_eta | {"eta_reason": reason}
        if reason == EtaReason.NONE:
            columns = {}
        elif reason in (EtaReason.COMPLETE, EtaReason.NEXT_SUBTASK):
            columns |= {"eta_reason": EtaReason.COMPLETE, "progress": 100, "health": Health.COMPLETE}
        elif reason == EtaReason.SILENT:
            columns |= {"last_seen": NOW - 3_600 * S}
        subtask = "CONFIGURE_LINUX" if reason == EtaReason.COMPLETE else "MIGRATE_LINUX_FILE"
        rows[f"p/{reason.name}/{subtask}"] = row(**columns)
    return model(rows)


@pytest.mark.parametrize("reason", [each.name for each in EtaReason])
def test_the_reason_of_a_withheld_end_selects_and_is_shown_with_its_words(withheld, reason):
    assert found(withheld, eta_reason=reason) == {f"p/{reason}"}
    (line,) = [each for each in lines(withheld) if each["task_id"] == reason]
    assert line["eta_reason"] == (None if reason == "NONE" else reason)
    assert (line["eta_reason_text"] is None) == (reason == "NONE")
    assert (line["ends_at_ms"] is None) == (reason != "NONE")


def test_a_task_that_does_not_converge_comes_before_those_that_move_well(withheld):
    page = page_of(withheld, TaskNames(withheld), withheld.tasks.live, "health", 3, None)
    assert names(withheld, page.tasks)[:2] == ["p/SILENT", "p/NOT_CONVERGING"]


def test_several_words_are_either_and_several_parameters_are_both(busy):
    either = found(busy, health="SLOW,SILENT")
    assert either == found(busy, health="SLOW") | found(busy, health="SILENT")
    assert found(busy, health="SLOW,SILENT", project="project-2") == {
        each for each in either if each.startswith("project-2/")
    }


def test_subtask_is_the_current_one_and_one_never_heard_selects_nothing(busy):
    assert found(busy, subtask="SYNC_LINUX_FILE") == those(busy, lambda line: line["subtask_name"] == "SYNC_LINUX_FILE")
    assert found(busy, subtask="CREATE_CLOUD_SERVER") == set()
    assert found(busy, subtask="NEVER_HEARD") == set()


def test_text_is_a_part_of_the_id_whatever_its_case(busy):
    one = lines(busy)[17]["task_id"]
    assert {each.partition("/")[2] for each in found(busy, q=one[:6].upper())} >= {one}
    assert found(busy, q="project-1") == set()
    assert found(busy, q="%_.*") == set()


@pytest.mark.parametrize(
    ("parameters", "field"),
    [({"health": "ILL"}, "health"), ({"trend": "OK"}, "trend"), ({"q": "x" * 256}, "q"), ({"health": "OK,"}, "health")],
)
def test_a_word_that_is_none_is_refused_by_name(parameters, field):
    with pytest.raises(ApiError) as caught:
        parse_filter(parameters, OPERATOR)
    assert caught.value.problem.fields[0].field == field


def key_of(line: dict[str, Any], sort: str) -> Any:
    """The plain meaning of each sort: the shown value, nothing last."""
    if sort == "health":
        severity = {"SILENT": 0, "NO_PROGRESS": 0, "SLOW": 1, "OK": 2, "COMPLETE": 3}
        endless = line["health"] == "OK" and line["eta_reason"] == "NOT_CONVERGING"
        return (1 if endless else severity[line["health"]], line["health_since_ms"])
    if sort == "left":
        return line["totalsize"] - line["replicatesize"]
    if sort == "trend":
        return Trend[line["trend"]]
    return line[sort]


@pytest.mark.parametrize("sort", sorted(set(SORTS) - {"reports", "remain_time_s"}))
@pytest.mark.parametrize("falling", [False, True])
def test_every_sort_is_the_order_of_what_is_shown_with_nothing_last(busy, sort, falling):
    page = page_of(busy, TaskNames(busy), busy.tasks.live, ("-" if falling else "") + sort, MAX_LIMIT, None)
    values = [key_of(task_summary(busy, task, NOW), sort) for task in page.tasks]
    known = [each for each in values if each is not None]
    assert values[: len(known)] == known, "nothing comes last"
    assert known == sorted(known, reverse=falling)
    assert page.count == len(page.tasks) == 120


def test_a_sort_that_is_none_is_refused_with_those_there_are(busy):
    with pytest.raises(ApiError, match="must be one of"):
        page_of(busy, TaskNames(busy), busy.tasks.live, "luck", 10, None)


def test_the_worst_first_are_the_stuck_ones_by_how_long(busy):
    page = page_of(busy, TaskNames(busy), busy.tasks.live, "health", 500, None)
    told = [task_summary(busy, task, NOW) for task in page.tasks]
    stuck = [line for line in told if line["health"] in ("SILENT", "NO_PROGRESS")]
    assert told[: len(stuck)] == stuck
    since = [line["health_since_ms"] for line in stuck]
    assert since == sorted(since)


def test_an_eta_of_a_silent_task_is_never_told_and_sorts_last(busy):
    page = page_of(busy, TaskNames(busy), busy.tasks.live, "ends_at_ms", MAX_LIMIT, None)
    ends = [task_summary(busy, task, NOW)["ends_at_ms"] for task in page.tasks]
    healths = [task_summary(busy, task, NOW)["health"] for task in page.tasks]
    assert all(end is None for end, health in zip(ends, healths, strict=True) if health == "SILENT")
    assert np.isfinite([end for end in ends if end is not None]).all()
    assert not math.isnan(ends[0])

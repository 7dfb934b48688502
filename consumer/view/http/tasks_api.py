"""The view's own read API: GET /tasks, /fleet, /report, /calibration and /slowdowns.

It knows the parameters and no ASGI.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.view.http.query_parameters import integer_parameter
from taskstream.consumer.view.json.calibration_json import calibration_json
from taskstream.consumer.view.json.fleet_json import fleet_json
from taskstream.consumer.view.json.pipeline_json import pipeline_json
from taskstream.consumer.view.json.slowdown_json import RECENT_S, slowdowns_json
from taskstream.consumer.view.json.task_json import task_summary
from taskstream.consumer.view.read_model import task_list
from taskstream.consumer.view.read_model.mass_silence import mass_silences
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_list import page_of, parse_filter, select_tasks
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.consumer.view.report.by_time import DEFAULT_BY, FARTHEST_DAYS, WORDS, by_time_us
from taskstream.consumer.view.report.report_json import LabelsOf, report_json
from taskstream.schemas.http.api_error import invalid_field
from taskstream.schemas.http.caller import Caller

FOLDS: Final = ("silences",)
LIST_PARAMETERS: Final = task_list.FILTERS | {"sort", "limit", "cursor", "fold"}
REPORT_PARAMETERS: Final = frozenset({"project", "by"})


def list_tasks(
    model: ReadModel, names: TaskNames, caller: Caller, parameters: dict[str, str], now_us: int
) -> dict[str, Any]:
    """GET /tasks: a page of the caller's tasks. `fold=silences` replaces the tasks of a mass silence by a summary.

    Raises:
        ApiError: INVALID_FIELD.
    """
    wanted = parse_filter(parameters, caller)
    limit = integer_parameter(parameters, "limit", task_list.DEFAULT_LIMIT, 0, task_list.MAX_LIMIT)
    cursor = parameters.get("cursor")
    if parameters.get("fold", *FOLDS) not in FOLDS:
        raise invalid_field("fold", f"must be {' or '.join(FOLDS)}")
    tasks = select_tasks(model, names, wanted)
    folded = mass_silences(model, tasks) if "fold" in parameters else []
    if folded:
        tasks = tasks[~np.isin(tasks, np.concatenate([each.tasks for each in folded]))]
    page = page_of(model, names, tasks, parameters.get("sort", "health"), limit, cursor)
    return {
        "count": page.count,
        "folded": [
            {
                "project_id": each.project_id,
                "count": each.tasks.shape[0],
                "begin_ms": each.begin_us // 1000,
                "end_ms": each.end_us // 1000,
            }
            for each in folded
        ],
        "tasks": [task_summary(model, task, now_us) for task in page.tasks],
        "next_cursor": page.next_cursor,
        "bucket_s": model.bucket_us / US_PER_S,
        "now_ms": now_us // 1000,
        "pipeline": pipeline_json(model.pipeline, now_us),
    }


def fleet_totals(
    model: ReadModel, names: TaskNames, caller: Caller, parameters: dict[str, str], now_us: int
) -> dict[str, Any]:
    """GET /fleet: totals over the tasks that the same filter of GET /tasks selects.

    Raises:
        ApiError: INVALID_FIELD.
    """
    wanted = parse_filter(parameters, caller)
    totals = fleet_json(model, select_tasks(model, names, wanted), model.judged_at(now_us))
    slowdowns = slowdowns_json(model, wanted.only_project, model.judged_at(now_us) - RECENT_S * US_PER_S)
    pipeline = pipeline_json(model.pipeline, now_us)
    return totals | {"slowdowns": slowdowns, "now_ms": now_us // 1000, "pipeline": pipeline}


def fleet_report(
    model: ReadModel,
    names: TaskNames,
    caller: Caller,
    parameters: dict[str, str],
    labels_of: LabelsOf,
    now_us: int,
) -> dict[str, Any]:
    """GET /report: what is done, what ends by a time, and what is in the way, of the caller's projects.

    Raises:
        ApiError: INVALID_FIELD.
    """
    wanted = parse_filter(parameters, caller)
    text = parameters.get("by", DEFAULT_BY)
    by_us = by_time_us(text, now_us)
    if by_us is None:
        raise invalid_field("by", f"must be {WORDS}, after now and within {FARTHEST_DAYS} days, not {text[:100]!r}")
    return report_json(model, select_tasks(model, names, wanted), wanted.only_project, labels_of, by_us, now_us)


def past_intervals(model: ReadModel, caller: Caller, parameters: dict[str, str]) -> dict[str, Any]:
    """GET /calibration: how often past intervals of an end held, of the caller's project; of any for an operator.

    Raises:
        ApiError: FORBIDDEN.
    """
    project_id = parse_filter(parameters, caller).only_project
    return {"intervals": calibration_json(model, project_id)}


def shared_slowdowns(model: ReadModel, caller: Caller, parameters: dict[str, str], now_us: int) -> dict[str, Any]:
    """GET /slowdowns: tasks that slowed down together, of a day: all for an operator, else the caller's own.

    Raises:
        ApiError: FORBIDDEN.
    """
    project_id = parse_filter(parameters, caller).only_project
    return {"slowdowns": slowdowns_json(model, project_id), "now_ms": now_us // 1000}

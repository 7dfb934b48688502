"""GET /v3/tasks and /v3/tasks/{task_id} as the vendor's SDK reads them. It knows the API's names and no HTTP.

Fields that progress reports do not contain (servers, regions, priorities) are left out. Dates and total_time are in
milliseconds. `replicatesize` and `totalsize`, in bytes, extend the API: the SDK ignores names it does not know.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from taskstream.consumer.state.series import GAUGES, NONE, Health
from taskstream.consumer.state.series_table import identity
from taskstream.consumer.state.silence import is_overdue
from taskstream.consumer.state.task_rollup import state_of
from taskstream.consumer.view.http.query_parameters import integer_parameter
from taskstream.consumer.view.json.quantities import finite_or_none
from taskstream.consumer.view.read_model.ordered_slice import ordered_slice
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.http.api_error import invalid_field
from taskstream.schemas.http.caller import Caller, Role

STATES = frozenset(
    {"READY", "RUNNING", "SYNCING", "MIGRATE_SUCCESS", "SYNC_SUCCESS", "MIGRATE_FAIL", "SYNC_FAIL", "ABORTING", "ABORT"}
    | {"SKIPPING", "DELETING", "RESETING", "SYNC_F_ROLLBACKING", "SYNC_F_ROLLBACK_SUCCESS"}
)
"""The states of the API. Tasks that are known by their reports alone have only some of them."""
PARAMETERS = frozenset({"state", "name", "id", "limit", "offset"})
IGNORED = frozenset({"source_server_id", "enterprise_project_id"})
"""Parameters of the API that concern fields which no report contains; they have no effect."""
MOST, DEFAULT, FARTHEST = 200, 100, 65_535
LONGEST_ID = 255


def show_task(model: ReadModel, task: int, now_us: int) -> dict[str, Any]:
    """One task, with all its subtasks."""
    now_us = model.judged_at(now_us)
    is_silent = bool(model.judged_health(np.array([task]), now_us).health[0] == Health.SILENT)
    return _common(model, task, is_silent, _show_subtask) | _only_shown(model, task, now_us)


def list_tasks(
    model: ReadModel, names: TaskNames, caller: Caller, parameters: dict[str, str], now_us: int
) -> dict[str, Any]:
    """The caller's tasks, the latest started first.

    Raises:
        ApiError: INVALID_FIELD for a parameter that breaks its bound.
    """
    now_us = model.judged_at(now_us)
    limit = integer_parameter(parameters, "limit", DEFAULT, 0, MOST)
    offset = integer_parameter(parameters, "offset", 0, 0, FARTHEST)
    state = parameters.get("state")
    if state is not None and state not in STATES:
        raise invalid_field("state", f"must be one of {', '.join(sorted(STATES))}")
    for name in ("id", "name"):
        if len(parameters.get(name, "")) > LONGEST_ID:
            raise invalid_field(name, f"must have at most {LONGEST_ID} characters")
    tasks = model.tasks.live
    if not caller.may(Role.OPERATE):
        tasks = tasks[model.tasks.project[tasks] == model.tasks.projects.get(caller.project_id, NONE)]
    if "id" in parameters:
        tasks = tasks[np.isin(tasks, names.with_id(parameters["id"]))]
    if "name" in parameters:  # reports contain no name: the id serves as one
        tasks = tasks[names.containing(parameters["name"], tasks, ignore_case=False)]
    if state is not None:
        tasks = tasks[_states(model, tasks) == state]
    started = -model.current_column(tasks, "first_seen")
    page = tasks[ordered_slice(started, model.tasks.tie[tasks], offset, offset + limit)]
    silent = model.judged_health(page, now_us).health == Health.SILENT
    shown = zip(page.tolist(), silent.tolist(), strict=True)
    return {"count": len(tasks), "tasks": [_common(model, task, is_silent, _list_subtask) for task, is_silent in shown]}


def _states(model: ReadModel, tasks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The state of each task, looked up by the name of its subtask and whether that is complete."""
    names = sorted(model.tasks.subtasks, key=model.tasks.subtasks.__getitem__)
    words = np.array([[state_of(name, progress) for progress in (0, 100)] for name in names] or [["", ""]], object)
    return words[model.tasks.subtask[tasks], (model.current_column(tasks, "progress") == 100).astype(np.int64)]  # type: ignore[no-any-return] # object arrays


def _common(model: ReadModel, task: int, is_silent: bool, subtask: Any) -> dict[str, Any]:
    table = model.table
    slots = model.tasks.series_of(task)
    current = int(model.tasks.current[task])
    row = table.rows[current]
    subtask_name = identity(table.keys[current])[2]
    progress = int(row["progress"])
    state = state_of(subtask_name, progress)
    ended = int(row["health_since"]) if state.endswith("SUCCESS") else None
    document = {
        "id": model.tasks.name_of(task)[1],
        "state": state,
        "subtask_info": subtask_name,
        "syncing": state == "SYNCING",
        "estimate_complete_time": None if is_silent else _end_ms(row),
        "total_time": ((ended or int(row["last_seen"])) - int(model.began[task])) // 1000,
        **{gauge: finite_or_none(row[gauge]) for gauge in GAUGES},
        "need_migration_test": None if row["need_migration_test"] == NONE else bool(row["need_migration_test"]),
        "replicatesize": int(row["replicatesize"]),
        "totalsize": int(row["totalsize"]),
        "sub_tasks": [subtask(model, place, slot) for place, slot in enumerate(slots.tolist(), 1)],
    }
    return {name: value for name, value in document.items() if value is not None}


def _only_shown(model: ReadModel, task: int, now_us: int) -> dict[str, Any]:
    table = model.table
    current = int(model.tasks.current[task])
    row = table.rows[current]
    state = state_of(identity(table.keys[current])[2], int(row["progress"]))
    document = {
        "project_id": model.tasks.name_of(task)[0],
        "connected": not bool(is_overdue(table.rows, np.array([current]), now_us, model.bucket_us)[0]),
        "start_date": int(model.began[task]) // 1000,
        "finish_date": int(row["health_since"]) // 1000 if state.endswith("SUCCESS") else None,
        "remain_seconds": None if row["remain_time"] == NONE else int(row["remain_time"]),
    }
    return {name: value for name, value in document.items() if value is not None}


def _show_subtask(model: ReadModel, place: int, slot: int) -> dict[str, Any]:
    speed = finite_or_none(model.table.rows[slot]["migrate_speed"])
    return _list_subtask(model, place, slot) | ({} if speed is None else {"migrate_speed": speed})


def _list_subtask(model: ReadModel, place: int, slot: int) -> dict[str, Any]:
    row = model.table.rows[slot]
    done = row["progress"] == 100
    return {
        "id": place,
        "name": identity(model.table.keys[slot])[2],
        "progress": int(row["progress"]),
        "start_date": int(row["first_seen"]) // 1000,
        **({"end_date": int(row["health_since"]) // 1000} if done else {}),
        "process_trace": model.table.traces[slot],
        "replicatesize": int(row["replicatesize"]),
        "totalsize": int(row["totalsize"]),
    }


def _end_ms(row: np.void) -> int | None:
    return None if math.isnan(row["eta_s"]) else int(row["last_seen"] / 1000 + row["eta_s"] * 1000)

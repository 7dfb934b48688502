"""The view's own read API: GET /tasks and /fleet. It knows the parameters and no ASGI."""

from __future__ import annotations

from typing import Any, Final

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.view.http.query_parameters import integer_parameter
from taskstream.consumer.view.json.task_json import task_line
from taskstream.consumer.view.read_model import task_list
from taskstream.consumer.view.read_model.fleet_summary import fleet
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_list import TaskNames, chosen, page_of, parse_filter
from taskstream.schemas.http.caller import Caller

LIST_PARAMETERS: Final = task_list.FILTERS | {"sort", "limit", "cursor"}


def list_tasks(
    model: ReadModel, names: TaskNames, caller: Caller, parameters: dict[str, str], now_us: int
) -> dict[str, Any]:
    """GET /tasks: a page of the caller's tasks.

    Raises:
        ApiError: INVALID_FIELD.
    """
    wanted = parse_filter(parameters, caller)
    limit = integer_parameter(parameters, "limit", task_list.DEFAULT, 0, task_list.MOST)
    cursor = parameters.get("cursor")
    page = page_of(model, names, chosen(model, names, wanted), parameters.get("sort", "health"), limit, cursor)
    return {
        "count": page.count,
        "tasks": [task_line(model, task, now_us) for task in page.tasks],
        "next_cursor": page.next_cursor,
        "bucket_s": model.bucket_us / US_PER_S,
        "now_ms": now_us // 1000,
    }


def fleet_totals(
    model: ReadModel, names: TaskNames, caller: Caller, parameters: dict[str, str], now_us: int
) -> dict[str, Any]:
    """GET /fleet: totals over the tasks that the same filter of GET /tasks selects.

    Raises:
        ApiError: INVALID_FIELD.
    """
    return fleet(model, chosen(model, names, parse_filter(parameters, caller)), now_us) | {"now_ms": now_us // 1000}

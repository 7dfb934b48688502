"""Selects, sorts and pages tasks, on whole columns. Pure; of HTTP it knows only the errors of a query parameter."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.notes.task_note import NoteKind
from taskstream.consumer.state.series import NONE, EtaReason, Health, Trend
from taskstream.consumer.view.read_model.ordered_slice import ordered_slice
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.task_names import TaskNames
from taskstream.schemas.http.api_error import ApiError, invalid_field
from taskstream.schemas.http.caller import Caller, Role

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SEVERAL: Final = frozenset({"health", "trend", "eta_reason", "subtask", "note", "project"})
"""The filters that may have several values."""
FILTERS: Final = SEVERAL | {"q", "attention"}
ATTENTION: Final = ("needed",)
MAX_LIMIT, DEFAULT_LIMIT = 500, 100
MAX_TEXT_LENGTH = 255
WORST_FIRST: Final = {Health.SILENT: 0, Health.NO_PROGRESS: 0, Health.SLOW: 1, Health.OK: 2, Health.COMPLETE: 3}
_SEVERITY = np.array([WORST_FIRST[each] for each in sorted(Health)], np.float64)
_ERA_US = 4e15
"""More microseconds since 1970 than any time until 2096: severities that are this far apart never mix."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are selected; None selects all."""

    projects: frozenset[str] | None = None
    """The projects that the caller asks for, or the only one that the caller may see."""
    healths: frozenset[Health] | None = None
    trends: frozenset[Trend] | None = None
    eta_reasons: frozenset[EtaReason] | None = None
    subtasks: frozenset[str] | None = None
    notes: frozenset[NoteKind] | None = None
    """Tasks with a note of these kinds."""
    attention: bool = False
    """Only tasks that need somebody, see `ReadModel.needing_attention`."""
    text: str | None = None
    """A part of the task id, in any letter case."""

    @property
    def only_project(self) -> str | None:
        """The project, if there is only one."""
        return next(iter(self.projects)) if self.projects is not None and len(self.projects) == 1 else None

    def takes_project(self, project_id: str) -> bool:
        """Whether tasks of this project may be selected."""
        return self.projects is None or project_id in self.projects


def parse_filter(parameters: dict[str, str], caller: Caller) -> TaskFilter:
    """The filter of a request. All but `q` and `attention` are lists separated by commas.

    Raises:
        ApiError: INVALID_FIELD for a value that is not allowed.
    """
    asked = parameters.get("project")
    projects = frozenset(asked.split(",")) if asked else None
    if not caller.may(Role.OPERATE):
        if projects is not None and projects != {caller.project_id}:
            raise invalid_field("project", f"these credentials give access to project {caller.project_id!r} only")
        projects = frozenset({caller.project_id})
    if parameters.get("attention", *ATTENTION) not in ATTENTION:
        raise invalid_field("attention", f"must be {' or '.join(ATTENTION)}")
    for name in ("project", "q", "subtask"):
        if len(parameters.get(name, "")) > MAX_TEXT_LENGTH:
            raise invalid_field(name, f"must have at most {MAX_TEXT_LENGTH} characters")
    subtasks = parameters.get("subtask")
    return TaskFilter(
        projects,
        _members(parameters, "health", Health),
        _members(parameters, "trend", Trend),
        _members(parameters, "eta_reason", EtaReason),
        frozenset(subtasks.split(",")) if subtasks else None,
        _members(parameters, "note", NoteKind),
        "attention" in parameters,
        parameters.get("q"),
    )


def select_tasks(model: ReadModel, names: TaskNames, wanted: TaskFilter, among: Ints | None = None) -> Ints:
    """The numbers of the tasks that the filter selects, among all tasks or among those given."""
    tasks = model.tasks.live if among is None else among
    index = model.tasks
    if wanted.projects is not None:
        own = [index.projects.get(each, NONE) for each in wanted.projects]
        tasks = tasks[index.project[tasks] == own[0] if len(own) == 1 else np.isin(index.project[tasks], own)]
    if wanted.healths is not None:
        tasks = tasks[np.isin(model.health[tasks], [int(each) for each in wanted.healths])]
    if wanted.trends is not None:
        trends = [int(each) for each in wanted.trends]
        tasks = tasks[np.isin(model.current_column(tasks, "trend"), trends)]
    if wanted.eta_reasons is not None:
        tasks = tasks[np.isin(model.eta_reasons(tasks), [int(each) for each in wanted.eta_reasons])]
    if wanted.subtasks is not None:
        numbers = [index.subtasks[name] for name in wanted.subtasks if name in index.subtasks]
        tasks = tasks[np.isin(index.subtask[tasks], numbers)]
    if wanted.notes is not None:
        noted = [model.noted(kind) for kind in wanted.notes]
        tasks = tasks[np.isin(tasks, np.concatenate(noted))]
    if wanted.attention:
        tasks = model.needing_attention(tasks)
    if wanted.text is not None:
        tasks = tasks[names.containing(wanted.text, tasks, ignore_case=True)]
    return tasks


def _column(name: str, scale: float = 1.0) -> Callable[[ReadModel, TaskNames, Ints], Floats]:
    def values(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
        return model.current_column(tasks, name).astype(np.float64) * scale

    return values


def _ends(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
    ends = model.current_column(tasks, "last_seen") / 1e6 + model.current_column(tasks, "eta_s")
    has_none = (model.health[tasks] == Health.SILENT) | (model.current_column(tasks, "progress") == 100)
    return np.where(has_none, np.nan, ends)


def _left(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
    left = model.current_column(tasks, "totalsize") - model.current_column(tasks, "replicatesize")
    return np.asarray(left, np.float64)


def _worst(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
    severity = _SEVERITY[model.health[tasks]]
    endless = (model.eta_reasons(tasks) == EtaReason.NOT_CONVERGING) & (severity > WORST_FIRST[Health.SLOW])
    severity[endless] = WORST_FIRST[Health.SLOW]
    return severity * _ERA_US + model.health_since[tasks]


def _subtask(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
    names = model.tasks.subtasks
    ranks = np.zeros(len(names) + 1)
    ranks[[names[name] for name in sorted(names)]] = np.arange(len(names))
    return ranks[model.tasks.subtask[tasks]]


SORTS: Final[dict[str, Callable[[ReadModel, TaskNames, Ints], Floats]]] = {
    "health": _worst,
    "task_id": lambda _model, names, tasks: names.ranks("task_id", tasks),
    "project_id": lambda _model, names, tasks: names.ranks("project_id", tasks),
    "subtask_name": _subtask,
    "left": _left,
    "ends_at_ms": _ends,
    **{name: _column(name) for name in ("progress", "replicatesize", "totalsize", "rate_fast_bps", "rate_slow_bps")},
    **{name: _column(name) for name in ("trend", "trend_change_pct", "reports")},
    "rate_reported_bps": _column("migrate_speed"),
    "remain_time_s": _column("remain_time"),
    **{f"{name}_ms": _column(name) for name in ("first_seen", "last_seen", "last_advance")},
}
"""The sort keys by name, each as numbers; NaN sorts last in either direction."""
_BY_TEXT: Final = frozenset({"task_id", "project_id"})


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page: the numbers of its tasks, the count over all pages, and the cursor of the next page."""

    tasks: list[int]
    count: int
    next_cursor: str | None


def page_of(model: ReadModel, names: TaskNames, tasks: Ints, sort: str, limit: int, cursor: str | None) -> TaskPage:
    """A page of these tasks. The cursor holds the sort value of the last one, so tasks that come or go shift no others.

    Raises:
        ApiError: INVALID_FIELD for an unknown sort or an invalid cursor.
    """
    descending, name = sort.startswith("-"), sort.removeprefix("-")
    if name not in SORTS:
        raise invalid_field("sort", f"must be one of {', '.join(sorted(SORTS))}, with a leading - for descending order")
    count = tasks.shape[0]
    values = SORTS[name](model, names, tasks)
    values = np.where(np.isnan(values), np.inf, -values if descending else values)
    ties = model.tasks.tie[tasks]
    if cursor is not None:
        value, tie = _read_cursor(cursor, sort)
        if isinstance(value, str):
            value = names.rank_of(name, value) * (-1 if descending else 1)
        after = (values > value) | ((values == value) & (ties > np.uint64(tie)))
        tasks, values, ties = tasks[after], values[after], ties[after]
    order = ordered_slice(values, ties, 0, limit + 1)
    on_page = order[:limit]
    next_cursor = None
    if order.shape[0] > limit > 0:
        last = float(values[on_page[-1]])
        # The rank of a name changes when tasks are added or dropped, so the cursor holds the name.
        key = names.text_at(name, abs(last)) if name in _BY_TEXT else last.hex()
        next_cursor = _cursor(key, int(ties[on_page[-1]]), sort)
    return TaskPage(tasks[on_page].tolist(), count, next_cursor)


def _cursor(value: str, tie: int, sort: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, tie, sort]).encode()).decode().rstrip("=")


def _read_cursor(text: str, sort: str) -> tuple[float | str, int]:
    """The sort value of the last row, or its name if sorted by names, and its tie.

    Raises:
        ApiError: INVALID_FIELD.
    """
    try:
        value, tie, of_sort = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        found = str(value) if sort.removeprefix("-") in _BY_TEXT else float.fromhex(value)
        if of_sort != sort or not 0 <= int(tie) < 1 << 64 or found != found:  # noqa: PLR0124 (NaN)
            raise _invalid_cursor()
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError) as error:
        raise _invalid_cursor() from error
    return found, int(tie)


def _invalid_cursor() -> ApiError:
    return invalid_field("cursor", "must be the next_cursor of a response with the same sort")


def _members(parameters: dict[str, str], name: str, kind: Any) -> frozenset[Any] | None:
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return frozenset(kind[word] for word in text.split(","))
    except KeyError as error:
        known = ", ".join(each.name for each in kind)
        raise invalid_field(name, f"must be one of {known}, not {error.args[0]!r:.100}") from error

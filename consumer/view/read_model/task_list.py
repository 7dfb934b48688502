"""Which tasks, in which order, which page: decided on whole columns. Pure; of HTTP it knows the refusals alone."""

from __future__ import annotations

import base64
import binascii
import bisect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from taskstream.consumer.state.series import NONE, Health, Trend
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.schemas.http.api_error import ApiError, invalid_field
from taskstream.schemas.http.caller import Caller, Role

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FILTERS: Final = frozenset({"project", "health", "trend", "subtask", "q"})
MOST, DEFAULT = 500, 100
LONGEST_TEXT = 255
WORST_FIRST: Final = {Health.SILENT: 0, Health.NO_PROGRESS: 0, Health.SLOW: 1, Health.OK: 2, Health.COMPLETE: 3}
_SEVERITY = np.array([WORST_FIRST[each] for each in sorted(Health)], np.float64)
_ERA_US = 4e15
"""More microseconds than a timestamp has until the year 2096: apart by this, severities never mix."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are wanted; None: whichever."""

    project: str | None = None
    """One project, by the caller's wish or because they may see no other."""
    healths: frozenset[Health] | None = None
    trends: frozenset[Trend] | None = None
    subtasks: frozenset[str] | None = None
    text: str | None = None
    """Part of the task's id."""


def parse_filter(parameters: dict[str, str], caller: Caller) -> TaskFilter:
    """The filter of a request; `health`, `trend` and `subtask` take several words with commas in between.

    Raises:
        ApiError: INVALID_FIELD.
    """
    project = parameters.get("project")
    if not caller.may(Role.OPERATE):
        if project not in (None, caller.project_id):
            raise invalid_field("project", f"these credentials see project {caller.project_id!r} alone")
        project = caller.project_id
    for name in ("project", "q", "subtask"):
        if len(parameters.get(name, "")) > LONGEST_TEXT:
            raise invalid_field(name, f"must have at most {LONGEST_TEXT} characters")
    subtasks = parameters.get("subtask")
    return TaskFilter(
        project,
        _words(parameters, "health", Health),
        _words(parameters, "trend", Trend),
        frozenset(subtasks.split(",")) if subtasks else None,
        parameters.get("q"),
    )


class TaskNames:
    """What is found out about the tasks' ids once for as long as none comes or goes."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._of = -1
        self._ids: pa.Array = pa.array([], pa.string())
        self._sorted: dict[str, tuple[list[str], Floats]] = {}

    def containing(self, text: str) -> npt.NDArray[np.bool_]:
        """[task] whether its id has this text in it, capital or not."""
        self._renew()
        found = pc.match_substring(self._ids, text, ignore_case=True)
        return np.asarray(found.fill_null(False))  # noqa: FBT003 (Arrow's)

    def ranks(self, which: str) -> Floats:
        """[task] the place of its `task_id` or `project_id` among all different ones, in the order of code points."""
        self._renew()
        return self._of_names(which)[1]

    def text_at(self, which: str, rank: float) -> str:
        """The `task_id` or `project_id` at a place."""
        return self._of_names(which)[0][int(rank)]

    def rank_of(self, which: str, text: str) -> float:
        """The place of a `task_id` or `project_id`; one that is no more lies between two."""
        self._renew()
        texts = self._of_names(which)[0]
        place = bisect.bisect_left(texts, text)
        return place if place < len(texts) and texts[place] == text else place - 0.5

    def _of_names(self, which: str) -> tuple[list[str], Floats]:
        if which not in self._sorted:
            part = 0 if which == "project_id" else 1
            names = self._model.tasks.names
            texts = sorted({name[part] for name in names if name is not None})
            places = {text: place for place, text in enumerate(texts)}
            ranks = np.array([-1 if name is None else places[name[part]] for name in names], np.float64)
            self._sorted[which] = (texts, ranks)
        return self._sorted[which]

    def _renew(self) -> None:
        if self._of != self._model.tasks.name_changes:
            self._of = self._model.tasks.name_changes
            self._ids = pa.array([None if name is None else name[1] for name in self._model.tasks.names], pa.string())
            self._sorted.clear()


def chosen(model: ReadModel, names: TaskNames, wanted: TaskFilter, among: Ints | None = None) -> Ints:
    """The numbers of the wanted tasks, of all or of those given."""
    tasks = model.tasks.live if among is None else among
    index = model.tasks
    if wanted.project is not None:
        tasks = tasks[index.project[tasks] == index.projects.get(wanted.project, NONE)]
    if wanted.healths is not None:
        tasks = tasks[np.isin(model.health[tasks], [int(each) for each in wanted.healths])]
    if wanted.trends is not None:
        trends = [int(each) for each in wanted.trends]
        tasks = tasks[np.isin(model.current_column(tasks, "trend"), trends)]
    if wanted.subtasks is not None:
        numbers = [index.subtasks[name] for name in wanted.subtasks if name in index.subtasks]
        tasks = tasks[np.isin(index.subtask[tasks], numbers)]
    if wanted.text is not None:
        tasks = tasks[names.containing(wanted.text)[tasks]]
    return tasks


def _column(name: str, scale: float = 1.0) -> Callable[[ReadModel, TaskNames, Ints], Floats]:
    def values(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
        return model.current_column(tasks, name).astype(np.float64) * scale

    return values


def _ends(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
    ends = model.current_column(tasks, "last_seen") / 1e6 + model.current_column(tasks, "eta_s")
    return np.where(model.health[tasks] == Health.SILENT, np.nan, ends)


def _left(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
    left = model.current_column(tasks, "totalsize") - model.current_column(tasks, "replicatesize")
    return np.asarray(left, np.float64)


def _worst(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
    return _SEVERITY[model.health[tasks]] * _ERA_US + model.health_since[tasks]


def _subtask(model: ReadModel, _names: TaskNames, tasks: Ints) -> Floats:
    names = model.tasks.subtasks
    ranks = np.zeros(len(names) + 1)
    ranks[[names[name] for name in sorted(names)]] = np.arange(len(names))
    return ranks[model.tasks.subtask[tasks]]


SORTS: Final[dict[str, Callable[[ReadModel, TaskNames, Ints], Floats]]] = {
    "health": _worst,
    "task_id": lambda _model, names, tasks: names.ranks("task_id")[tasks],
    "project_id": lambda _model, names, tasks: names.ranks("project_id")[tasks],
    "subtask_name": _subtask,
    "left": _left,
    "ends_at_ms": _ends,
    **{name: _column(name) for name in ("progress", "replicatesize", "totalsize", "rate_fast_bps", "rate_slow_bps")},
    **{name: _column(name) for name in ("trend", "trend_change_pct", "reports")},
    "rate_reported_bps": _column("migrate_speed"),
    "remain_time_s": _column("remain_time"),
    **{f"{name}_ms": _column(name) for name in ("first_seen", "last_seen", "last_advance")},
}
"""What can be sorted by, as numbers; NaN goes last either way."""


_NAMED: Final = frozenset({"task_id", "project_id"})


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page: the numbers of its tasks, how many there are on all pages, and where the next one begins."""

    tasks: list[int]
    count: int
    next_cursor: str | None


def page_of(model: ReadModel, names: TaskNames, tasks: Ints, sort: str, limit: int, cursor: str | None) -> TaskPage:
    """A page of these tasks. The cursor holds the last one's values, so rows that come or go move no others.

    Raises:
        ApiError: INVALID_FIELD for a sort or a cursor that is none.
    """
    falling, name = sort.startswith("-"), sort.removeprefix("-")
    if name not in SORTS:
        raise invalid_field("sort", f"must be one of {', '.join(sorted(SORTS))}, with a - before it to reverse")
    count = tasks.shape[0]
    values = SORTS[name](model, names, tasks)
    values = np.where(np.isnan(values), np.inf, -values if falling else values)
    ties = model.tasks.tie[tasks]
    if cursor is not None:
        value, tie = _read_cursor(cursor, sort)
        if isinstance(value, str):
            value = names.rank_of(name, value) * (-1 if falling else 1)
        after = (values > value) | ((values == value) & (ties > np.uint64(tie)))
        tasks, values, ties = tasks[after], values[after], ties[after]
    order = _first(values, ties, limit + 1)
    shown = order[:limit]
    following = None
    if order.shape[0] > limit > 0:
        last = float(values[shown[-1]])
        # A name's place shifts when names come and go, so the cursor holds the name.
        told = names.text_at(name, abs(last)) if name in _NAMED else last.hex()
        following = _cursor(told, int(ties[shown[-1]]), sort)
    return TaskPage(tasks[shown].tolist(), count, following)


def _first(values: Floats, ties: npt.NDArray[np.uint64], wanted: int) -> Ints:
    """The places of the first so many, in order; only those that may be among them are sorted."""
    places = np.arange(values.shape[0])
    if values.shape[0] > 4 * wanted:
        last = np.partition(values, wanted - 1)[wanted - 1]
        places = np.flatnonzero(values <= last)
    return places[np.lexsort((ties[places], values[places]))][:wanted]


def _cursor(value: str, tie: int, sort: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, tie, sort]).encode()).decode().rstrip("=")


def _read_cursor(text: str, sort: str) -> tuple[float | str, int]:
    """The last row's value, or its name where it is sorted by one, and its tie."""
    try:
        value, tie, of_sort = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        found = str(value) if sort.removeprefix("-") in _NAMED else float.fromhex(value)
        if of_sort != sort or not 0 <= int(tie) < 1 << 64 or found != found:  # noqa: PLR0124 (NaN)
            raise _no_cursor()
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError) as error:
        raise _no_cursor() from error
    return found, int(tie)


def _no_cursor() -> ApiError:
    return invalid_field("cursor", "must be next_cursor of an answer to the same sort")


def _words(parameters: dict[str, str], name: str, kind: Any) -> frozenset[Any] | None:
    text = parameters.get(name)
    if text is None:
        return None
    try:
        return frozenset(kind[word] for word in text.split(","))
    except KeyError as error:
        known = ", ".join(each.name for each in kind)
        raise invalid_field(name, f"{error.args[0]!r:.100} is none of {known}") from error

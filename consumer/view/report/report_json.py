"""The report of a set of tasks as the API shows it: what is done, what ends by a time, and what is in the way.

It knows the read model's columns and names, no HTTP.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import Health
from taskstream.consumer.view.json.pipeline_json import pipeline_json
from taskstream.consumer.view.json.quantities import finite_or_none
from taskstream.consumer.view.json.slowdown_json import slowdowns_json
from taskstream.consumer.view.json.task_json import task_summary
from taskstream.consumer.view.read_model.ordered_slice import ordered_slice
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.report.end_chances import count_ranges
from taskstream.consumer.view.report.stopped_together import stopped_together
from taskstream.consumer.view.report.task_end_columns import TaskEndColumns, task_end_columns

Ints = npt.NDArray[np.int64]
LabelsOf = Callable[[str, str], Mapping[str, str]]
"""The labels of a task, by its project and id."""

MOST_PROJECTS: Final = 100
MOST_SLOWEST: Final = 10
MOST_STANDING: Final = 20
MOST_SHARES: Final = 5
"""How many projects, and how many subtasks, of a group that stopped together."""
MOST_LABELLED: Final = 1_000
"""Of how many tasks of a group the labels are counted."""


def report_json(
    model: ReadModel, tasks: Ints, project_id: str | None, labels_of: LabelsOf, by_us: int, now_us: int
) -> dict[str, Any]:
    """The report of these tasks. project_id: whose shared slowdowns are among it; None: all.

    `slowest` are the tasks with the latest ends; those without an end are counted as `unknown` and, if they stand
    still, are in `standing`, the longest first.
    """
    judged_at_us = model.judged_at(now_us)
    ends = task_end_columns(model, tasks, (by_us - judged_at_us) / US_PER_S, judged_at_us)
    numbers, of_project = np.unique(model.tasks.project[tasks], return_inverse=True)
    names = list(model.tasks.projects)
    projects = [
        {"project_id": names[number], **totals}
        for number, totals in zip(
            numbers.tolist(), _totals(model, tasks, ends, of_project, numbers.shape[0]), strict=True
        )
    ]
    projects.sort(key=lambda each: (each["bytes_done"] - each["bytes_total"], each["project_id"]))
    standing = tasks[np.isin(model.health[tasks], (Health.SILENT, Health.NO_PROGRESS))]
    longest = standing[ordered_slice(model.health_since[standing], model.tasks.tie[standing], 0, MOST_STANDING)]
    return {
        "now_ms": now_us // 1000,
        "by_ms": by_us // 1000,
        "pipeline": pipeline_json(model.pipeline, now_us),
        "total": _totals(model, tasks, ends, np.zeros_like(tasks), 1)[0],
        "project_count": len(projects),
        "projects": projects[:MOST_PROJECTS],
        "slowest": _slowest(model, tasks, ends, judged_at_us),
        "standing_count": int(standing.shape[0]),
        "standing": [_standing_json(model, task, now_us) for task in longest.tolist()],
        "stopped_together": [
            _stop_json(model, standing[each.members], each.expected, labels_of)
            for each in stopped_together(model.health_since[standing], judged_at_us)
        ],
        "slowdowns": slowdowns_json(model, project_id),
    }


def _totals(
    model: ReadModel, tasks: Ints, ends: TaskEndColumns, groups: Ints, group_count: int
) -> list[dict[str, Any]]:
    """[group] counts and sums of the tasks of each group. groups: [task] the number of its group."""
    health = model.health[tasks].astype(np.int64)
    complete = health == Health.COMPLETE
    done, total = model.whole_bytes(tasks)
    done_by, total_by = _sums(groups, done, group_count), _sums(groups, np.maximum(done, total), group_count)
    active = ~complete & (health != Health.SILENT) & (model.current_column(tasks, "progress") != 100)
    rates = np.where(active, np.nan_to_num(model.current_column(tasks, "rate_fast_bps")), 0.0)
    rates_by = _sums(groups, rates, group_count)
    healths = np.bincount(groups * len(Health) + health, minlength=group_count * len(Health))
    healths = healths.reshape(group_count, len(Health))
    names = list(model.tasks.subtasks)
    at, counts = np.unique(groups[~complete] * len(names) + model.tasks.subtask[tasks[~complete]], return_counts=True)
    stages: list[list[dict[str, Any]]] = [[] for _ in range(group_count)]
    for number, count in zip(at.tolist(), counts.tolist(), strict=True):
        stages[number // len(names)].append({"subtask_name": names[number % len(names)], "tasks": count})
    ended = _ended_by(ends, groups, complete, group_count)
    return [
        {
            "tasks": int(healths[group].sum()),
            "health": {each.name: int(healths[group, each]) for each in Health},
            "stages": sorted(stages[group], key=lambda each: (-each["tasks"], each["subtask_name"])),
            "bytes_done": int(done_by[group]),
            "bytes_total": int(total_by[group]),
            "done_pct": round(100.0 * done_by[group] / total_by[group], 1) if total_by[group] > 0 else None,
            "rate_bps": float(rates_by[group]),
            "ended_by": ended[group],
        }
        for group in range(group_count)
    ]


def _ended_by(
    ends: TaskEndColumns, groups: Ints, complete: npt.NDArray[np.bool_], group_count: int
) -> list[dict[str, Any]]:
    """[group] how many tasks have ended by the time, see `count_ranges`, and of how many that is known."""
    complete_by = np.bincount(groups[complete], minlength=group_count)
    ranges = count_ranges(ends.chance[~complete], groups[~complete], complete_by)
    known = ~np.isnan(ends.chance)
    foretold = np.bincount(groups[known], minlength=group_count)
    of_subtask = np.bincount(groups[known & ~ends.is_whole], minlength=group_count)
    unknown = np.bincount(groups[~complete & ~known], minlength=group_count)
    return [
        {
            "complete": int(complete_by[group]),
            "expected": round(float(ranges.expected[group]), 2),
            "low": int(ranges.low[group]),
            "high": int(ranges.high[group]),
            "foretold": int(foretold[group]),
            "of_subtask": int(of_subtask[group]),
            "unknown": int(unknown[group]),
        }
        for group in range(group_count)
    ]


def _slowest(model: ReadModel, tasks: Ints, ends: TaskEndColumns, judged_at_us: int) -> list[dict[str, Any]]:
    """The tasks with the latest ends."""
    known = np.flatnonzero(~np.isnan(ends.left_s))
    latest = known[ordered_slice(-ends.left_s[known], model.tasks.tie[tasks[known]], 0, MOST_SLOWEST)]
    subtasks = list(model.tasks.subtasks)
    found = []
    for place in latest.tolist():
        task = int(tasks[place])
        project_id, task_id = model.tasks.name_of(task)
        own = tasks[place : place + 1]
        left = int(model.current_column(own, "totalsize")[0]) - int(model.current_column(own, "replicatesize")[0])
        at, low, high = (
            None if np.isnan(each[place]) else int(judged_at_us / 1000 + float(each[place]) * 1000)
            for each in (ends.left_s, ends.low_s, ends.high_s)
        )
        found.append(
            {
                "project_id": project_id,
                "task_id": task_id,
                "subtask_name": subtasks[int(model.tasks.subtask[task])],
                "health": Health(int(model.health[task])).name,
                "progress": int(model.current_column(own, "progress")[0]),
                "bytes_left": max(left, 0),
                "rate_fast_bps": finite_or_none(float(model.current_column(own, "rate_fast_bps")[0])),
                "ends_at_ms": at,
                "ends_from_ms": low,
                "ends_to_ms": high,
                "is_whole": bool(ends.is_whole[place]),
                "chance": None if np.isnan(ends.chance[place]) else round(float(ends.chance[place]), 3),
            }
        )
    return found


def _standing_json(model: ReadModel, task: int, now_us: int) -> dict[str, Any]:
    names = ("project_id", "task_id", "subtask_name", "health", "health_since_ms", "health_reason", "progress", "note")
    summary = task_summary(model, task, now_us)
    return {name: summary[name] for name in names}


def _stop_json(model: ReadModel, group: Ints, expected: float, labels_of: LabelsOf) -> dict[str, Any]:
    """A group of tasks that stopped together, in the order of their stops, and what they have in common."""
    since_us = model.health_since[group]
    return {
        "begin_ms": int(since_us[0]) // 1000,
        "end_ms": int(since_us[-1]) // 1000,
        "tasks": int(group.shape[0]),
        "expected": round(expected, 2),
        "silent": int(np.count_nonzero(model.health[group] == Health.SILENT)),
        "projects": _shares("project_id", list(model.tasks.projects), model.tasks.project[group]),
        "subtasks": _shares("subtask_name", list(model.tasks.subtasks), model.tasks.subtask[group]),
        "labels": _shared_labels(model, group, labels_of),
    }


def _shared_labels(model: ReadModel, group: Ints, labels_of: LabelsOf) -> list[dict[str, Any]]:
    """The labels that two or more of the first tasks of a group have, such as their host: the most frequent first."""
    names = (model.tasks.name_of(task) for task in group[:MOST_LABELLED].tolist())
    counts = Counter(label for name in names for label in labels_of(*name).items())
    shared = sorted((-count, *label) for label, count in counts.items() if count > 1)
    return [{"label": label, "value": value, "tasks": -count} for count, label, value in shared[:MOST_SHARES]]


def _shares(kind: str, names: list[str], numbers: Ints) -> list[dict[str, Any]]:
    found, counts = np.unique(numbers, return_counts=True)
    shares = [{kind: names[at], "tasks": count} for at, count in zip(found.tolist(), counts.tolist(), strict=True)]
    return sorted(shares, key=lambda each: (-each["tasks"], each[kind]))[:MOST_SHARES]


def _sums(groups: Ints, values: npt.NDArray[np.float64], group_count: int) -> npt.NDArray[np.float64]:
    return np.bincount(groups, weights=values, minlength=group_count).astype(np.float64)

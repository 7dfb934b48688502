"""Tasks that slow down together, scored: false findings on fleets whose rates wander alone, and those that are found.

Each fleet has tasks of several projects and subtasks, whose log rates wander as those of `migrations` do (AR(1) of a
deviation of 0.1 to 0.5 and a memory of half a minute to 20 minutes). In some, all or most tasks of one group halve in
the same minute: then it is scored whether that is found, how soon, whether the right group is named, and which of the
tasks. The falls come from the minutes by `find_falls`, as in the view. Half of the fleets have a switching rate instead
(`mix`: a factor of five for 5 to 30 minutes) in a third of their tasks.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import MINUTES, NONE, ROW
from taskstream.consumer.state.slowdowns.rate_falls import LEAST_MINUTES, find_falls
from taskstream.consumer.view.read_model.slowdown_watch import Moving, SlowdownWatch
from taskstream.schemas.compiled import compiled

SECTION: Final = "bottleneck"
BUCKET_US: Final = 60_000_000
STEP_S: Final = 10
HOURS: Final = 10
ALONE: Final = 60
"""Fleets of each size without a common cause."""
TOGETHER: Final = 40
"""Fleets with one."""
MANY: Final = 12
"""Fleets with one, of a thousand tasks."""
SUBTASKS: Final = ("MIGRATE_LINUX_FILE", "MIGRATE_WINDOWS_BLOCK", "SYNC_LINUX_FILE")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Setting:
    """A kind of fleet: how many tasks, in how many projects, and how many of one project's tasks halve at half time."""

    tasks: int
    projects: int
    halving: int = 0
    part: float = 0.5
    by_subtask: bool = False
    """Whether the tasks that halve are of one subtask, not of one project."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one fleet."""

    findings: int
    found_after: float
    """Minutes from the fall to the first finding; infinite: none."""
    is_right: bool
    """Whether the first finding near the fall names the group, and how ..."""
    right_tasks: int
    named_tasks: int
    """... many of the tasks that it names at the end did halve."""


def run() -> None:
    settings = [Setting(tasks, projects) for tasks, projects in ((20, 4), (100, 10), (1_000, 50))]
    together = [
        *(Setting(100, 10, halving) for halving in (4, 6, 8, 10)),
        *(Setting(20, 4, 5, part) for part in (0.5, 0.3)),
        Setting(1_000, 50, 20),
        Setting(1_000, 50, 10),
        Setting(100, 10, 30, by_subtask=True),
    ]
    with multiprocessing.Pool() as pool:
        print("no common cause")
        for setting in settings:
            fleets = ALONE if setting.tasks <= 100 else MANY
            outcomes = pool.starmap(judge, [(setting, seed) for seed in range(fleets)])
            hours, findings = HOURS * fleets, sum(each.findings for each in outcomes)
            most = -np.log(0.05) if findings == 0 else findings + 1.96 * np.sqrt(findings) + 1.92
            print(
                f"  {setting.tasks:>5} tasks, {setting.projects:>3} projects, {hours} h: {100 * findings / hours:.2f} "
                f"findings per 100 h, at most {100 * most / hours:.2f}",
                flush=True,
            )
        print("a group halves in one minute")
        for setting in together:
            fleets = TOGETHER if setting.tasks <= 100 else MANY
            outcomes = pool.starmap(judge, [(setting, seed) for seed in range(fleets)])
            print_found(setting, outcomes)


def print_found(setting: Setting, outcomes: list[Outcome]) -> None:
    found = [each for each in outcomes if each.found_after < np.inf]
    what = "subtask" if setting.by_subtask else "project"
    line = f"  {setting.halving} of {setting.tasks} tasks, of one {what}, to {setting.part:.0%}: "
    line += f"found {len(found) / len(outcomes):.0%}"
    if found:
        after = np.median([each.found_after for each in found])
        right = sum(each.is_right for each in found) / len(found)
        named = sum(each.named_tasks for each in found)
        line += f", after {after:.0f} min (median), right group {right:.0%}"
        line += f", {sum(each.right_tasks for each in found) / max(named, 1):.0%} of the tasks named did halve"
        line += f", {sum(each.right_tasks for each in found) / len(found) / setting.halving:.0%} of those are named"
    print(line, flush=True)


def judge(setting: Setting, seed: int) -> Outcome:
    """Simulate one fleet, and watch it minute by minute."""
    dice = np.random.default_rng([20261126, setting.tasks, setting.halving, round(100 * setting.part), seed])
    projects = np.arange(setting.tasks) % setting.projects
    subtasks = dice.integers(0, len(SUBTASKS), setting.tasks)
    fall = HOURS * 60 // 2
    group = subtasks == 0 if setting.by_subtask else projects == 0
    halves = np.flatnonzero(group)[: setting.halving]
    falls: list[tuple[int, int, int]] = []
    for task in range(setting.tasks):
        rates = wandering_rates(dice, HOURS * 3_600 // STEP_S, seed % 2 == 1 and task % 3 == 0)
        if task in halves:
            rates[(fall * 60 + int(dice.integers(0, 30))) // STEP_S :] *= setting.part
        falls += known_falls(rates.reshape(HOURS * 60, -1).sum(axis=1), task)
    return watch(setting, projects, subtasks, falls, set(halves.tolist()), fall)


def watch(
    setting: Setting, projects: Ints, subtasks: Ints, falls: list[tuple[int, int, int]], halves: set[int], fall: int
) -> Outcome:
    """falls: (minute at whose end it is known, minute of the fall, task)."""
    watched = SlowdownWatch(BUCKET_US)
    names = [f"project-{each}" for each in range(setting.projects)]
    moving = Moving(projects, subtasks, np.zeros(setting.tasks, np.int64), names, SUBTASKS)
    falls.sort()
    at, found_after, right = 0, np.inf, False
    name = SUBTASKS[0] if setting.by_subtask else names[0]
    for minute in range(LEAST_MINUTES, HOURS * 60):
        now_us = (minute + 1) * BUCKET_US
        while at < len(falls) and falls[at][0] <= minute:
            _, fell, task = falls[at]
            watched.note(fell * BUCKET_US, (names[projects[task]], str(task)), projects[task], subtasks[task], now_us)
            at += 1
        if watched.is_due(now_us):
            watched.update(moving, now_us)
        near = [each for each in watched.found if abs(each.begin_us // BUCKET_US - fall) <= 4]
        if halves and near and found_after == np.inf:
            found_after, right = minute + 1 - fall, near[0].name == name
    near = [each for each in watched.found if abs(each.begin_us // BUCKET_US - fall) <= 4]
    named = {int(task) for each in near for _, task in each.tasks} if halves else set()
    return Outcome(watched.count, found_after, right, len(named & halves), len(named))


def wandering_rates(dice: np.random.Generator, steps: int, switches: bool) -> Floats:
    """Bytes of each step."""
    deviation, memory_s = dice.uniform(0.1, 0.5), float(np.exp(dice.uniform(np.log(30.0), np.log(1_200.0))))
    kept = float(np.exp(-STEP_S / memory_s))
    added = dice.normal(0.0, deviation * np.sqrt(1.0 - kept * kept), steps)
    rates = 3e8 * np.exp(_filtered(added, kept, float(dice.normal(0.0, deviation))))
    if switches:
        changes = dice.random(steps) < STEP_S / (60.0 * dice.uniform(5.0, 30.0))
        rates *= np.where(np.cumsum(changes) % 2 == 0, 1.0, 0.2)
    return rates


@compiled
def _filtered(added: Floats, kept: float, value: float) -> Floats:
    logs = np.empty(added.shape[0], np.float64)
    for index in range(added.shape[0]):
        value = kept * value + added[index]
        logs[index] = value
    return logs


def known_falls(minute_bytes: Floats, task: int) -> list[tuple[int, int, int]]:
    """When falls of a task are known, as a view sees them that reads its row at the end of each minute."""
    count = minute_bytes.shape[0]
    rows = np.zeros(count, ROW)
    padded = np.concatenate([np.zeros(MINUTES - 1, np.int64), minute_bytes.astype(np.int64)])
    rows["minute_bytes"] = np.lib.stride_tricks.sliding_window_view(padded, MINUTES)
    rows["complete_minutes"] = np.minimum(np.arange(1, count + 1), MINUTES)
    rows["open_minute"] = np.arange(1, count + 1) * BUCKET_US
    rows["typical_gap_s"], rows["report_gap_square_s2"] = 15.0, 225.0
    fell_us = np.zeros(count, np.int64)
    find_falls(rows, np.arange(count), rows["open_minute"] - BUCKET_US, BUCKET_US, fell_us)
    known = np.flatnonzero(fell_us != NONE)
    return [(int(at), int(fell_us[at] // BUCKET_US), task) for at in known]

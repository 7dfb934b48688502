"""The end of whole tasks, scored on simulated fleets, with few and many past tasks, and while a first wave runs.

A task has short subtasks, a copy of one of the regimes of `migrations`, a synchronisation that takes a part of the
copy's time, and a configuration. At 20 regular moments of a task's life, what the view would say is compared with the
truth: the error is |ln(said / truly left)|. Beside it is the end of the current subtask alone.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.eta import _claims
from benchmarks.insight import Judged, judge, judged
from benchmarks.migrations import Migration
from taskstream.consumer.state.forecast.eta_claims import calibrated
from taskstream.consumer.view.read_model.task_ends import Phase, TaskEnd, TaskEnds

SECTION: Final = "task_ends"
REGIMES: Final = ("ar1", "gap30", "irregular", "halve", "stall", "mix", "grow", "tail", "chunky", "burst")
BEFORE: Final = {
    "CREATE_CLOUD_SERVER": 120.0,
    "SSL_CONFIG": 20.0,
    "ATTACH_AGENT_IMAGE": 60.0,
    "FORMAT_DISK_LINUX": 90.0,
}
"""Median seconds."""
COPY, SYNC, LAST = "MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE", "CONFIGURE_LINUX"
PAST: Final = (5, 10, 20, 100)
SCORED: Final = 60
WAVE: Final = 100
WAVE_S: Final = 1_800.0
"""Within so many seconds the tasks of a wave begin."""
US: Final = 1_000_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SimulatedTask:
    """Begins and ends of its subtasks in seconds since its begin, and the states of those that have an ETA."""

    names: tuple[str, ...]
    begins_s: Floats
    ends_s: Floats
    folded: dict[str, Judged]

    def phase_at(self, moment_s: float) -> int:
        """The index of the subtask that reported last."""
        return int(np.searchsorted(self.begins_s, moment_s, side="right")) - 1

    def phases_at(self, moment_s: float, began_s: float) -> list[Phase]:
        """The subtasks that began by then, with their ends if they ended."""
        return [
            Phase(name, round((began_s + begin_s) * US), round((began_s + end_s) * US) if end_s <= moment_s else None)
            for name, begin_s, end_s in zip(self.names, self.begins_s, self.ends_s, strict=True)
            if begin_s <= moment_s
        ]


@dataclass(frozen=True, slots=True)
class Said:
    """At one moment of one task: the logarithms of what was said over what was left."""

    kind: str
    error: float
    low: float
    high: float
    phase_error: float
    phase_held: float


def run() -> None:
    with multiprocessing.Pool() as pool:
        tasks = pool.map(simulated, range(300), chunksize=10)
    print("  " + "".ljust(34) + "".join(head.rjust(12) for head in HEADS))
    for past in PAST:
        print_line(f"{past} past tasks", with_past(tasks, past))
    said = with_past(tasks, 100)
    for kind in ("before the copy", "copy", "after the copy"):
        print_line(f"  100 past tasks: {kind}", [each for each in said if each.kind == kind])
    for part in (0.25, 0.5, 0.75):
        print_line(f"a first wave, {part:.0%} ended", while_running(tasks, part))


HEADS: Final = ("known %", "error", "p90", "held %", "width", "phase alone", "held %")


def print_line(name: str, said: Sequence[Said]) -> None:
    known = [each for each in said if not np.isnan(each.error)]
    both = [each for each in said if not np.isnan(each.phase_error)]
    errors = np.array([abs(each.error) for each in known])
    cells = [
        f"{100 * len(known) / max(len(said), 1):.0f}",
        *(f"{np.quantile(errors, part):.3f}" if known else "-" for part in (0.5, 0.9)),
        f"{100 * np.mean([each.low <= 0.0 <= each.high for each in known]):.0f}" if known else "-",
        f"{np.median([each.high - each.low for each in known]):.2f}" if known else "-",
        f"{np.median([abs(each.phase_error) for each in both]):.3f}" if both else "-",
        f"{100 * np.mean([each.phase_held for each in both]):.0f}" if both else "-",
    ]
    print("  " + name.ljust(34) + "".join(cell.rjust(12) for cell in cells), flush=True)


def simulated(seed: int) -> SimulatedTask:
    """One task, always the same."""
    dice = np.random.default_rng([20261126, seed])
    copy = judge(REGIMES[seed % len(REGIMES)], 2_000 + seed // len(REGIMES))
    copy_s = float(copy.migration.times_s[-1])
    sync_s = max(copy_s * 0.08 * float(np.exp(dice.normal(0.0, 0.3))), 60.0)
    times_s = np.append(np.arange(1.0, sync_s, 15.0), sync_s)
    done = (times_s / sync_s * 1e10).astype(np.int64)
    sync = judged(Migration("sync", seed, times_s, done, np.full(done.shape, done[-1])))
    short = [median_s * float(np.exp(dice.normal(0.0, 0.4))) for median_s in (*BEFORE.values(), 300.0)]
    lasts_s = np.array([*short[:-1], copy_s, sync_s, short[-1]])
    pauses_s = dice.uniform(1.0, 30.0, lasts_s.shape[0])
    begins_s = np.concatenate([[0.0], np.cumsum(lasts_s + pauses_s)[:-1]])
    return SimulatedTask((*BEFORE, COPY, SYNC, LAST), begins_s, begins_s + lasts_s, {COPY: copy, SYNC: sync})


def with_past(tasks: Sequence[SimulatedTask], past: int) -> list[Said]:
    """What is said of other tasks after so many; four draws of the past."""
    said: list[Said] = []
    for draw in range(4):
        order = np.random.default_rng([past, draw]).permutation(len(tasks))
        ends, factor = TaskEnds(), factor_of(tasks[each] for each in order[:past])
        for number, each in enumerate(order[:past].tolist()):
            task = tasks[each]
            put(ends, number, task, np.inf, -1e6 - number * 100.0 - task.ends_s[-1])
        for each in order[-SCORED:].tolist():
            task = tasks[each]
            said += [say(ends, factor, task, moment_s, 0.0) for moment_s in moments(task)]
    return said


def while_running(tasks: Sequence[SimulatedTask], part: float) -> list[Said]:
    """What is said of the running tasks of a wave, when this part of it has ended; two waves."""
    said: list[Said] = []
    for draw in range(2):
        dice = np.random.default_rng([7, draw])
        wave = [tasks[each] for each in dice.permutation(len(tasks))[:WAVE]]
        began_s = dice.uniform(0.0, WAVE_S, WAVE)
        now_s = float(np.quantile(began_s + [each.ends_s[-1] for each in wave], part))
        ends = TaskEnds()
        ended = [each for each, begin_s in zip(wave, began_s, strict=True) if begin_s + each.ends_s[-1] <= now_s]
        for number, (task, begin_s) in enumerate(zip(wave, began_s.tolist(), strict=True)):
            put(ends, number, task, now_s - begin_s, begin_s)
        for task, begin_s in zip(wave, began_s.tolist(), strict=True):
            if 0.0 < now_s - begin_s < task.ends_s[-1]:
                said.append(say(ends, factor_of(ended), task, now_s - begin_s, begin_s))
    return said


def put(ends: TaskEnds, number: int, task: SimulatedTask, moment_s: float, began_s: float) -> None:
    """Learn of a task what is known of it then."""
    ended_us = round((began_s + task.ends_s[-1]) * US) if task.ends_s[-1] <= moment_s else None
    ends.put(number, "p", task.phases_at(moment_s, began_s), ended_us)


def say(ends: TaskEnds, factor: float, task: SimulatedTask, moment_s: float, began_s: float) -> Said:
    """As `task_json` does."""
    at = task.phase_at(moment_s)
    name, left_s, now_us = task.names[at], task.ends_s[-1] - moment_s, round((began_s + moment_s) * US)
    kind = "before the copy" if at < len(BEFORE) else ("copy" if name == COPY else "after the copy")
    alone = eta_at(task, at, moment_s, factor)
    end: TaskEnd | None
    if moment_s >= task.ends_s[at]:
        end = ends.after_end("p", name, task.ends_s[at] - task.begins_s[at], moment_s - task.ends_s[at], now_us)
    elif alone is not None:
        end = ends.with_eta("p", name, moment_s - task.begins_s[at], alone, now_us)
    else:
        before_s = task.ends_s[at - 1] - task.begins_s[at - 1] if at else np.nan
        end = ends.from_begin("p", name, before_s, moment_s - task.begins_s[at], now_us)
    phase = (np.nan, np.nan) if alone is None else (np.log(alone[0] / left_s), float(alone[1] <= left_s <= alone[2]))
    if end is None:
        return Said(kind, np.nan, np.nan, np.nan, *phase)
    said = np.log(np.maximum([end.left_s, end.low_s, end.high_s], 1.0) / left_s).tolist()
    return Said(kind, *said, *phase)


def eta_at(task: SimulatedTask, at: int, moment_s: float, factor: float) -> tuple[float, float, float] | None:
    """The ETA of the current subtask and its bounds, in seconds from then."""
    folded = task.folded.get(task.names[at])
    if folded is None:
        return None
    since_s = moment_s - task.begins_s[at]
    report = int(np.searchsorted(folded.migration.times_s, since_s, side="right")) - 1
    eta_s = folded.states["eta_s"][report] if report >= 0 else np.nan
    if np.isnan(eta_s):
        return None
    ratio = (folded.states["eta_high_s"][report] / eta_s) ** factor
    waited_s = since_s - folded.migration.times_s[report]
    middle, low, high = (max(each - waited_s, 1.0) for each in (eta_s, eta_s / ratio, eta_s * ratio))
    return middle, low, high


def factor_of(past: Iterable[SimulatedTask]) -> float:
    """The factor of half-widths by the copies that ended."""
    errors = [_claims(each.folded[COPY]) for each in past]
    return calibrated(np.concatenate(errors)) if errors else 1.0


def moments(task: SimulatedTask) -> list[float]:
    """20 regular moments of its life."""
    found: list[float] = (task.ends_s[-1] * (np.arange(20) + 0.5) / 20.0).tolist()
    return found

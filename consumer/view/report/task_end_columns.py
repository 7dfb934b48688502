"""When each of many tasks ends, as columns: what `task_json` shows of one task, for a whole fleet at once.

It knows the read model's columns. It works on whole columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.forecast.eta import MAX_ETA_S
from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import EtaReason, Health
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.report.end_chances import end_chances

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_ENDLESS: Final = (Health.COMPLETE, Health.SILENT, Health.NO_PROGRESS)
_WITHHELD: Final = (EtaReason.STALLED, EtaReason.NOT_CONVERGING, EtaReason.TOO_FAR)
"""In these, no end is foretold."""


@dataclass(frozen=True, slots=True)
class TaskEndColumns:
    """[task] seconds from now to its end, and its probability to have ended by a time; NaN where it is unknown."""

    left_s: Floats
    low_s: Floats
    high_s: Floats
    """The bounds of the 80 percent interval."""
    chance: Floats
    is_whole: Flags
    """Whether that is the end of the whole task, and not of its current subtask alone."""


def task_end_columns(model: ReadModel, tasks: Ints, within_s: float, judged_at_us: int) -> TaskEndColumns:
    """The ends of these tasks, and how probable it is that each ends within this time.

    A task whose current subtask has an ETA ends as `TaskEnds.with_eta` says; where too little is known of what follows
    the subtask, the end is that of the subtask alone. A task between two subtasks, and one whose subtask has no ETA
    yet, ends as in the Kaplan-Meier estimate of tasks that were so far (`Survival.ended_within`); the latter in
    seconds, never in parts of the time of the subtask before. A task that is silent, makes no progress, stalls or does
    not converge has no end, and its probability is not known.
    """
    count = tasks.shape[0]
    left_s, low_s, high_s, chance = (np.full(count, np.nan) for _ in range(4))
    is_whole = np.zeros(count, np.bool_)
    found = TaskEndColumns(left_s, low_s, high_s, chance, is_whole)
    running = ~np.isin(model.health[tasks], _ENDLESS)
    full = model.current_column(tasks, "progress") == 100
    has_eta = running & ~full & ~np.isnan(model.current_column(tasks, "eta_s"))
    has_eta &= model.current_column(tasks, "eta_low_s") > 0.0
    young = running & ~full & ~has_eta & ~np.isin(model.current_column(tasks, "eta_reason"), _WITHHELD)
    _put_by_eta(model, tasks, np.flatnonzero(has_eta), within_s, judged_at_us, found)
    _put_by_past(model, tasks, np.flatnonzero(running & full), within_s, judged_at_us, found, is_after=True)
    _put_by_past(model, tasks, np.flatnonzero(young), within_s, judged_at_us, found, is_after=False)
    return found


def _put_by_eta(
    model: ReadModel, tasks: Ints, places: Ints, within_s: float, judged_at_us: int, found: TaskEndColumns
) -> None:
    """The ends of the tasks at these places, whose current subtasks have an ETA.

    They are computed as of the last report of each, so that an end that is overdue has a probability, too.
    """
    chosen = tasks[places]
    kinds, of_kind = np.unique(model.end_kind[chosen], return_inverse=True)
    factors = np.array([model.calibration.factor(*model.ends.name_of(kind)) for kind in kinds.tolist()], np.float64)
    eta_s = model.current_column(chosen, "eta_s")
    ratio = (eta_s / model.current_column(chosen, "eta_low_s")) ** factors[of_kind]
    low_s, high_s = eta_s / ratio, np.minimum(eta_s * ratio, MAX_ETA_S)
    last_seen = model.current_column(chosen, "last_seen")
    took_s = (last_seen - model.current_column(chosen, "first_seen")) / US_PER_S + eta_s
    unit_s = np.where(model.ends.in_parts[kinds][of_kind], took_s, 1.0)
    after_s, after_low_s, after_high_s = (
        each[kinds][of_kind] * unit_s for each in (model.ends.after_s, model.ends.after_low_s, model.ends.after_high_s)
    )
    is_whole = ~np.isnan(after_s) & ~np.isnan(after_low_s)
    after_s, after_low_s, after_high_s = (
        np.where(is_whole, each, 0.0) for each in (after_s, after_low_s, after_high_s)
    )
    middle_s = eta_s + after_s
    low_s = middle_s - np.hypot(eta_s - low_s, after_s - after_low_s)
    high_s = middle_s + np.hypot(high_s - eta_s, after_high_s - after_s)
    age_s = (judged_at_us - last_seen) / US_PER_S
    found.chance[places] = end_chances(within_s + age_s, middle_s, low_s, high_s)
    for column, value in ((found.left_s, middle_s), (found.low_s, low_s), (found.high_s, high_s)):
        column[places] = np.maximum(value - age_s, 0.0)
    found.is_whole[places] = is_whole


def _put_by_past(
    model: ReadModel,
    tasks: Ints,
    places: Ints,
    within_s: float,
    judged_at_us: int,
    found: TaskEndColumns,
    *,
    is_after: bool,
) -> None:
    """The ends of the tasks at these places: by what followed the current subtask, or by the time since its begin."""
    chosen = tasks[places]
    kinds, of_kind = np.unique(model.end_kind[chosen], return_inverse=True)
    first_seen = model.current_column(chosen, "first_seen")
    took_s = (model.current_column(chosen, "last_advance") - first_seen) / US_PER_S
    lasted_s = np.maximum((judged_at_us - first_seen) / US_PER_S - (took_s if is_after else 0.0), 0.0)
    for number, kind in enumerate(kinds.tolist()):
        if is_after:
            survival, is_in_parts = model.ends.survival_after(kind, judged_at_us) or (None, False)
        else:
            survival, is_in_parts = model.ends.survival_from(kind, judged_at_us), False
        if survival is None:
            continue
        own = np.flatnonzero(of_kind == number)
        unit_s = np.maximum(took_s[own], 1.0) if is_in_parts else np.ones(own.shape[0])
        lasted = lasted_s[own] / unit_s
        at = places[own]
        found.chance[at] = survival.ended_within(within_s / unit_s, lasted)
        for column, part in ((found.left_s, 0.5), (found.low_s, 0.1), (found.high_s, 0.9)):
            column[at] = survival.each_left_s(part, lasted) * unit_s
        found.is_whole[at] = True

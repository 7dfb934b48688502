"""The totals of a set of tasks as the API shows them: counts by health, bytes done and left, rate, last end. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from taskstream.consumer.notes.task_note import NoteKind
from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import EtaReason, Health, Trend
from taskstream.consumer.view.json.quantities import finite_or_none
from taskstream.consumer.view.read_model.read_model import ReadModel


def fleet_json(model: ReadModel, tasks: npt.NDArray[np.int64], now_us: int) -> dict[str, Any]:
    """The totals over the current subtasks of these tasks; a complete task counts with all its subtasks.

    `trend` counts the tasks that move. `rate_bps` is the sum of the fast rates of the tasks that are neither complete
    nor silent nor between two subtasks. `ends_at_ms` is the expected end of the last task that has an ETA: of the whole
    task, or of its current subtask where too little is known of what follows.
    `without_eta` counts the incomplete tasks that have none, and `without_eta_by_reason` says why; a
    task whose state is of an older worker has no reason.
    """
    health = model.health[tasks]
    trend = model.current_column(tasks, "trend")
    done = model.current_column(tasks, "replicatesize").astype(np.float64)
    total = model.current_column(tasks, "totalsize").astype(np.float64)
    complete = health == Health.COMPLETE
    if complete.any():
        done[complete], total[complete] = model.whole_bytes(tasks[complete])
    last_seen = model.current_column(tasks, "last_seen")
    active = ~complete & (health != Health.SILENT) & (model.current_column(tasks, "progress") != 100)
    moving = active & (health != Health.NO_PROGRESS)
    rates = model.current_column(tasks, "rate_fast_bps")[active]
    ends_s = _ends_s(model, tasks[active])
    incomplete = ~complete
    reasons = model.eta_reasons(tasks)[incomplete]
    withheld = [each for each in EtaReason if each not in (EtaReason.NONE, EtaReason.COMPLETE)]
    oldest_us = now_us - int(last_seen[incomplete].min()) if incomplete.any() else None
    return {
        "tasks": int(tasks.shape[0]),
        "health": {each.name: int(np.count_nonzero(health == each)) for each in Health},
        "needs_attention": int(model.needing_attention(tasks).shape[0]),
        "notes": {
            each.name: int(np.isin(tasks, model.noted(each)).sum()) if len(model.notes) else 0 for each in NoteKind
        },
        "trend": {each.name: int(np.count_nonzero((trend == each) & moving)) for each in Trend},
        "bytes_done": int(done.sum()),
        "bytes_left": int(np.maximum(total - done, 0).sum()),
        "rate_bps": float(np.nansum(rates)),
        "ends_at_ms": None if np.isnan(ends_s).all() else int(np.nanmax(ends_s) * 1000),
        "without_eta": int(np.count_nonzero(incomplete) - np.count_nonzero(~np.isnan(ends_s))),
        "without_eta_by_reason": {each.name: int(np.count_nonzero(reasons == each)) for each in withheld},
        "oldest_silence_s": None if oldest_us is None else finite_or_none(max(0, oldest_us) / 1e6),
    }


def _ends_s(model: ReadModel, tasks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """[tasks] the expected ends in seconds since 1970, as `TaskEnds.with_eta` gives them; NaN without an ETA."""
    ends_s: npt.NDArray[np.float64] = model.current_column(tasks, "last_seen") / US_PER_S
    ends_s = ends_s + model.current_column(tasks, "eta_s")
    kinds = model.end_kind[tasks]
    took_s = ends_s - model.current_column(tasks, "first_seen") / US_PER_S
    after_s = model.ends.after_s[kinds] * np.where(model.ends.in_parts[kinds], took_s, 1.0)
    return ends_s + np.where(np.isnan(after_s), 0.0, after_s)

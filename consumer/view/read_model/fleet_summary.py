"""Sums the chosen tasks up: how many are how, how much is done and left, how fast, and when the last will end. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import Health, Trend
from taskstream.consumer.view.json.task_json import number
from taskstream.consumer.view.read_model.read_model import ReadModel


def fleet(model: ReadModel, tasks: npt.NDArray[np.int64], now_us: int) -> dict[str, Any]:
    """The sums over these tasks' current subtasks.

    The fleet's rate is the sum of the fast rates of tasks that are heard and not complete. `ends_at_ms` is when the
    last task that has an ETA will end; `without_eta` counts the unfinished ones that have none.
    """
    health = model.health[tasks]
    trend = model.current_column(tasks, "trend")
    done = model.current_column(tasks, "replicatesize").astype(np.float64)
    total = model.current_column(tasks, "totalsize").astype(np.float64)
    last_seen = model.current_column(tasks, "last_seen")
    moving = (health != Health.COMPLETE) & (health != Health.SILENT)
    rates = model.current_column(tasks, "rate_fast_bps")[moving]
    ends_s = (last_seen / 1e6 + model.current_column(tasks, "eta_s"))[moving]
    running = health != Health.COMPLETE
    oldest = now_us - int(last_seen[running].min()) if running.any() else None
    return {
        "tasks": int(tasks.shape[0]),
        "health": {each.name: int(np.count_nonzero(health == each)) for each in Health},
        "trend": {each.name: int(np.count_nonzero((trend == each) & running)) for each in Trend},
        "bytes_done": int(done.sum()),
        "bytes_left": int(np.maximum(total - done, 0).sum()),
        "rate_bps": float(np.nansum(rates)),
        "ends_at_ms": None if np.isnan(ends_s).all() else int(np.nanmax(ends_s) * 1000),
        "without_eta": int(np.count_nonzero(running) - np.count_nonzero(~np.isnan(ends_s))),
        "oldest_silence_s": None if oldest is None else number(oldest / 1e6),
    }

"""Simulated copies: a shape of the rate over time, times autocorrelated noise. It does not know the fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.state.series_table import EVENT_COLUMNS
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.read_plan import columns_of

US = 1_000_000
START = 1_790_000_000 * US
RATE_BPS = 50e6

Floats = npt.NDArray[np.float64]
Shape = Callable[[Floats], Floats]
"""From minutes since the start to the part of the usual rate at that time."""

_EVENT = columns_of(newest("ProgressReported"), EVENT_COLUMNS)


@dataclass(frozen=True, slots=True)
class Copies:
    """Many copies of one kind: the times of the reports, and the bytes copied by then. Both [copies, reports]."""

    times_s: Floats
    bytes_done: Floats

    def batch(self, index: int, total: float = 1e15) -> pa.RecordBatch:
        """The report of this index of every copy."""
        count = self.times_s.shape[0]
        done = np.minimum(self.bytes_done[:, index], total)
        values = {
            "project_id": pa.array(["p"] * count),
            "task_id": pa.array([f"task-{number}" for number in range(count)]),
            "subtask_name": pa.array(["MIGRATE_LINUX_BLOCK"] * count),
            "received_at": pa.array(START + (self.times_s[:, index] * US).astype(np.int64), pa.timestamp("us", "UTC")),
            "progress": pa.array(np.minimum(done / total * 100, 99).astype(np.int32)),
            "replicatesize": pa.array(done.astype(np.int64)),
            "totalsize": pa.array(np.full(count, int(total))),
            "process_trace": pa.array([""] * count),
        }
        arrays = [values.get(each.name, pa.nulls(count, each.arrow)) for each in _EVENT]
        return pa.RecordBatch.from_arrays(arrays, names=[each.name for each in _EVENT])


def simulate(
    seed: int,
    copies: int,
    minutes: float,
    shape: Shape = np.ones_like,
    *,
    gap_s: float = 10.0,
    deviation: float = 0.25,
    memory_s: float = 60.0,
) -> Copies:
    """Reports about every `gap_s`. The log of the rate is an AR(1) process of this deviation and time constant."""
    dice = np.random.default_rng(seed)
    reports = int(minutes * 60 / gap_s)
    gaps_s = gap_s * dice.uniform(0.7, 1.3, (copies, reports))
    times_s = np.cumsum(gaps_s, axis=1)
    kept = np.exp(-gap_s / memory_s)
    wandering = np.empty((copies, reports))
    wandering[:, 0] = dice.normal(0.0, deviation, copies)
    for index in range(1, reports):
        step = dice.normal(0.0, deviation * np.sqrt(1 - kept * kept), copies)
        wandering[:, index] = kept * wandering[:, index - 1] + step
    gained = RATE_BPS * shape(times_s / 60.0) * np.exp(wandering) * gaps_s
    return Copies(times_s, np.cumsum(gained, axis=1))

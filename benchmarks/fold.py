"""The fold alone, from an Arrow batch to changed rows: its CPU time and memory, compared with two simpler folds.

The figures are CPU time of the process. Events are spread evenly over all series, and every batch is one transaction.
The simpler folds keep only two means and the latest bytes of a series, which favours them.
"""

from __future__ import annotations

import itertools
import math
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.state.fold import fold_event
from taskstream.consumer.state.minutes import MAX_WINDOWS
from taskstream.consumer.state.series import SIGNAL, WINDOW
from taskstream.consumer.state.series_table import EVENT_COLUMNS, SeriesTable
from taskstream.consumer.state.signals import MAX_SIGNALS
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.read_plan import columns_of
from taskstream.schemas.compiled import compiled

SECTION = "fold"
EVENTS = 10_000
SERIES = (2_000, 20_000, 200_000, 1_000_000)
ROUNDS = 30
START_US = 1_795_421_400_000_000
BATCH_US = 2_000_000
PROJECT = "5f0e6c1b9a8d4e7fb3a2c1d0e9f8a7b6"
TRACE = "copying /srv/data/00012345/part-42.parqu"
FAST_S, SLOW_S = 60.0, 600.0
_COLUMNS = columns_of(newest("ProgressReported"), EVENT_COLUMNS)

Ints = npt.NDArray[np.int64]


def run() -> None:
    print(f"{EVENTS:,} events per batch; by number of series: µs of CPU per event (events per second)")
    first = 0.0
    for series in SERIES:
        reports = Reports(series)
        table = filled(reports)
        total = cost(lambda load, table=table: fold(table, load.batch), reports)
        loop = cost(lambda load, rows=table.rows: compiled_loop(rows, load), reports)
        first = first or total
        print(f"  {series:>9,}  the fold: total {formatted(total)}, its compiled loop {formatted(loop)}", end="")
        print(f"; {first / total:.2f} of the speed at {SERIES[0]:,}")
        del table
        peers = (NumpyRounds(series), PlainDict())
        rounds, plain = (cost(filled_peer(each, reports).fold, reports) for each in peers)
        print(f"  {'':>9}  two means only: numpy {formatted(rounds)}, a dict {formatted(plain)}", flush=True)
    measured = subprocess.run([sys.executable, "-m", "benchmarks.fold"], check=True, capture_output=True, text=True)
    print(f"  resident memory at {SERIES[-1]:,} series: {float(measured.stdout):.0f} bytes per series")


@dataclass(frozen=True, slots=True)
class Load:
    """One batch for the fold, and [events] the number of each event's series."""

    series: Ints
    batch: pa.RecordBatch


class Reports:
    """Generates reports of `series` series, with keys as long as real ones; another seed, other series."""

    def __init__(self, series: int, seed: int = 1) -> None:
        self.series = series
        self._rng = np.random.default_rng(seed)
        self._now_us = START_US
        self._sent = 0
        self._tasks = pa.array([str(uuid.UUID(bytes=self._rng.bytes(16))) for _ in range(series)])

    def any(self) -> Load:
        """EVENTS reports of random series."""
        return self.of(self._rng.integers(0, self.series, EVENTS))

    def of(self, series: Ints) -> Load:
        """One report of each of these series, spread over BATCH_US."""
        count = series.shape[0]
        nothing = pa.array(np.zeros(count, np.int64))
        times = self._now_us + np.arange(count) * BATCH_US // count
        self._now_us += BATCH_US
        values: dict[str, Any] = {
            "event_id": pa.array([f"{self._sent + number:036d}" for number in range(count)]),
            "project_id": pa.array([PROJECT]).take(nothing),
            "task_id": self._tasks.take(pa.array(series)),
            "subtask_name": pa.array(["MIGRATE_LINUX_BLOCK"]).take(nothing),
            "received_at": pa.array(times).cast(pa.timestamp("us", "UTC")),
            "progress": pa.array(np.full(count, 40, np.int32)),
            "replicatesize": pa.array((times - START_US) * 50),
            "totalsize": pa.array(np.full(count, 10**14)),
            "process_trace": pa.array([TRACE]).take(nothing),
            "migrate_speed": pa.array(self._rng.uniform(0.0, 1e3, count)),
            "remain_time": pa.array(np.full(count, 3600)),
        }
        arrays = [values.get(each.name, pa.nulls(count, each.arrow)) for each in _COLUMNS]
        self._sent += count
        return Load(
            series,
            pa.RecordBatch.from_arrays(arrays, names=[each.name for each in _COLUMNS]),
        )


def filled(reports: Reports) -> SeriesTable:
    """A table that holds every series in the slot of its number."""
    table = SeriesTable()
    for begin in range(0, reports.series, EVENTS):
        fold(table, reports.of(np.arange(begin, min(begin + EVENTS, reports.series))).batch)
    return table


def filled_peer(peer: NumpyRounds | PlainDict, reports: Reports) -> NumpyRounds | PlainDict:
    for begin in range(0, reports.series, EVENTS):
        peer.fold(reports.of(np.arange(begin, min(begin + EVENTS, reports.series))))
    return peer


def fold(table: SeriesTable, batch: pa.RecordBatch) -> None:
    table.fold(batch, np.zeros(batch.num_rows, np.int32))
    table.commit()


def compiled_loop(rows: npt.NDArray[np.void], load: Load) -> None:
    windows, signals = np.zeros(2 * MAX_WINDOWS, WINDOW), np.zeros(2 * MAX_SIGNALS, SIGNAL)
    fold_all(rows, load.series, *numbers(load), windows, signals)


@compiled
def fold_all(
    rows: npt.NDArray[np.void],
    slots: Ints,
    received_at: Ints,
    progress: Ints,
    replicatesize: Ints,
    totalsize: Ints,
    windows: npt.NDArray[np.void],
    signals: npt.NDArray[np.void],
) -> None:
    """Apply the rules to all reports, and drop the windows and signals."""
    for event in range(slots.shape[0]):
        numbers_of = (received_at[event], progress[event], replicatesize[event], totalsize[event])
        fold_event(rows, slots[event], *numbers_of, 60_000_000, 0.25, windows, 0, signals, 0)


class NumpyRounds:
    """Folds the first event of every series in one vectorised step, then the second of every series, and so on."""

    def __init__(self, series: int) -> None:
        self.seen, self.bytes, self.first = (np.zeros(series, np.int64) for _ in range(3))
        self.fast, self.slow = np.zeros(series), np.zeros(series)

    def fold(self, load: Load) -> None:
        times, _, sizes, _ = numbers(load)
        order = np.argsort(load.series, kind="stable")
        series = load.series[order]
        begins = np.flatnonzero(np.diff(series, prepend=-1))
        turn = np.arange(series.shape[0]) - np.repeat(begins, np.diff(begins, append=series.shape[0]))
        by_turn = np.argsort(turn, kind="stable")
        bounds = np.searchsorted(turn[by_turn], np.arange(turn.max() + 2))
        for begin, end in itertools.pairwise(bounds):
            events = order[by_turn[begin:end]]
            self._step(load.series[events], times[events], sizes[events])

    def _step(self, series: Ints, now: Ints, size: Ints) -> None:
        new = self.first[series] == 0
        self.first[series[new]] = now[new]
        self.seen[series[new]] = now[new]
        step_s = (now - self.seen[series]) / 1e6
        total_s = (now - self.first[series]) / 1e6
        timed = step_s > 0.0
        series, now, size, step_s, total_s = (each[timed] for each in (series, now, size, step_s, total_s))
        sample = (size - self.bytes[series]) / step_s
        for mean, half_life_s in ((self.fast, FAST_S), (self.slow, SLOW_S)):
            per_s = math.log(2.0) / half_life_s
            mean[series] += (sample - mean[series]) * np.expm1(-step_s * per_s) / np.expm1(-total_s * per_s)
        self.seen[series], self.bytes[series] = now, size


class PlainDict:
    """The obvious implementation: a dict of lists, one event at a time."""

    def __init__(self) -> None:
        self._series: dict[str, list[float]] = {}

    def fold(self, load: Load) -> None:
        names = ("project_id", "task_id", "subtask_name", "received_at", "replicatesize")
        columns = [load.batch.column(name) for name in names]
        columns[3] = columns[3].cast(pa.int64())
        for project, task, subtask, now, size in zip(*(each.to_pylist() for each in columns), strict=True):
            key = f"{project}/{task}/{subtask}"
            found = self._series.get(key)
            if found is None:
                self._series[key] = [now, now, size, 0.0, 0.0]
                continue
            first, seen, before, fast, slow = found
            step_s, total_s = (now - seen) / 1e6, (now - first) / 1e6
            if step_s <= 0.0:
                continue
            sample = (size - before) / step_s
            for place, mean, half_life_s in ((3, fast, FAST_S), (4, slow, SLOW_S)):
                per_s = math.log(2.0) / half_life_s
                found[place] = mean + (sample - mean) * math.expm1(-step_s * per_s) / math.expm1(-total_s * per_s)
            found[1], found[2] = now, size


def numbers(load: Load) -> list[Ints]:
    """The columns that the fold's rules need, as numpy arrays, [events] each."""
    found = (load.batch.column(name) for name in ("received_at", "progress", "replicatesize", "totalsize"))
    return [np.asarray(each.cast(pa.int64())) for each in found]


def cost(work: Callable[[Load], None], reports: Reports) -> float:
    """µs of CPU per event, the median of the batches."""
    spent = []
    for _ in range(ROUNDS):
        load = reports.any()
        start = time.process_time()
        work(load)
        spent.append(time.process_time() - start)
    return statistics.median(spent) / EVENTS * 1e6


def formatted(cost_us: float) -> str:
    return f"{cost_us:6.3f} ({1e6 / cost_us:>9,.0f}/s)"


def resident_bytes() -> int:
    """The resident memory of this process (VmRSS)."""
    status = Path("/proc/self/status").read_text("ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def bytes_per_series() -> float:
    """The resident memory that a table of the largest size adds, divided by its series."""
    filled(Reports(EVENTS))
    reports = Reports(SERIES[-1])
    before = resident_bytes()
    table = filled(reports)
    return (resident_bytes() - before) / len(table)


if __name__ == "__main__":
    print(bytes_per_series())

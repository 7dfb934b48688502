"""The series table: one row a series, found by its key, folded in batches, put back when a transaction aborts.

It holds memory and decides nothing: the rules are in `fold`. No clock, no I/O.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from taskstream.consumer.state.fold import MOST_SIGNALS, fold_events
from taskstream.consumer.state.minutes import MOST_WINDOWS
from taskstream.consumer.state.series import GAUGES, NONE, ROW, SIGNAL, WINDOW, Rows

Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

_LATEST = [*GAUGES, "remain_time", "need_migration_test", "process_trace", "agent_time"]
"""Those that go into the row as they are."""
EVENT_COLUMNS = frozenset(
    {"project_id", "task_id", "subtask_name", "received_at", "progress", "replicatesize", "totalsize", *_LATEST}
)
"""The fields of ProgressReported that the fold reads; a reader need not decode the others."""
_SPARE = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen of the fold. Changing the bucket on a live stream means a rebuild."""

    bucket_s: float = 60.0
    eta_part: float = 0.25
    """An ETA is told again when it moved by more than this part of what was left."""

    @property
    def bucket_us(self) -> int:
        """The bucket width in microseconds."""
        return round(self.bucket_s * 1_000_000)


@dataclass(frozen=True, slots=True)
class Folded:
    """What one batch gave off, in order: closed windows [WINDOW] and signals [SIGNAL]."""

    windows: npt.NDArray[np.void]
    signals: npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class _Saved:
    """Rows as they were before the open transaction touched them."""

    slots: Ints
    rows: Rows
    traces: Objects
    agent_times: Objects


class SeriesTable:
    """Rows in slots. What changes between two `commit`s or `rollback`s is one transaction."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.rows: Rows = np.zeros(0, ROW)
        self.keys: Objects = np.empty(0, object)
        """[slot] project_id/task_id/subtask_name."""
        self.traces: Objects = np.empty(0, object)
        self.agent_times: Objects = np.empty(0, object)
        """[slot] str or None."""
        self._slots: dict[str, int] = {}
        self._used = 0
        """So many slots were ever given out; those of them that were dropped are free."""
        self._free: list[int] = []
        self._touched: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._saved: list[_Saved] = []

    def __len__(self) -> int:
        return len(self._slots)

    def fold(self, batch: pa.RecordBatch, partitions: npt.NDArray[np.int32]) -> Folded:
        """Fold events into their rows.

        batch: the columns EVENT_COLUMNS of ProgressReported, in offset order within each series.
        partitions: [events], where each event lies; its series belongs there.
        """
        if batch.num_rows == 0:
            return Folded(np.zeros(0, WINDOW), np.zeros(0, SIGNAL))
        codes, slots = self._place(batch, partitions)
        self._save(slots)
        accepted = np.zeros(batch.num_rows, np.bool_)
        folded = self._run(slots[codes], batch, accepted)
        self._take_latest(codes, slots, batch, accepted)
        return folded

    def put(self, keys: Sequence[str], rows: Rows, traces: Objects, agent_times: Objects) -> None:
        """Rows as they were published, into new or old slots; not part of a transaction."""
        slots = self._slots_of(keys)
        self.rows[slots] = rows
        self.traces[slots] = traces
        self.agent_times[slots] = agent_times

    def drop(self, slots: Ints) -> None:
        """Forget these series; not part of a transaction."""
        for slot in slots.tolist():
            del self._slots[self.keys[slot]]
        self.rows[slots] = np.zeros(1, ROW)
        self.keys[slots] = None
        self.traces[slots] = None
        self.agent_times[slots] = None
        self._free.extend(slots.tolist())

    def find(self, keys: Sequence[str]) -> Ints:
        """The slots of those keys that are held."""
        return np.array([self._slots[key] for key in keys if key in self._slots], np.int64)

    def of_partitions(self, partitions: Sequence[int]) -> Ints:
        """The slots of all series that lie in these partitions."""
        return np.flatnonzero(self.rows["live"] & np.isin(self.rows["partition"], list(partitions)))

    def touch(self, slots: Ints) -> None:
        """Say that these rows are about to be changed from outside, as part of the transaction."""
        self._save(slots)

    @property
    def changed(self) -> Ints:
        """The slots touched since the last commit or rollback, each once."""
        return np.flatnonzero(self._touched)

    @property
    def changed_count(self) -> int:
        """How many slots `changed` would give."""
        return int(np.count_nonzero(self._touched))

    def commit(self) -> None:
        """Keep what was changed."""
        self._touched[:] = False
        self._saved.clear()

    def rollback(self) -> None:
        """Put back every row as it was at the last commit; series that were new then are forgotten."""
        for saved in reversed(self._saved):
            old = saved.rows["live"]
            self.rows[saved.slots] = saved.rows
            self.traces[saved.slots] = saved.traces
            self.agent_times[saved.slots] = saved.agent_times
            self.drop(saved.slots[~old])
        self._touched[:] = False
        self._saved.clear()

    def _place(self, batch: pa.RecordBatch, partitions: npt.NDArray[np.int32]) -> tuple[Ints, Ints]:
        """For each event the number of its series within the batch, and for each such number its slot."""
        parts = (batch.column("project_id"), batch.column("task_id"), batch.column("subtask_name"))
        encoded = pc.dictionary_encode(pc.binary_join_element_wise(*parts, "/"))
        codes = np.asarray(encoded.indices).astype(np.int64)
        slots = self._slots_of(encoded.dictionary.to_numpy(zero_copy_only=False).tolist())
        homes = np.empty(slots.shape[0], np.int32)
        homes[codes] = partitions
        new = ~self.rows["live"][slots]
        self._save(slots[new])
        self.rows["live"][slots[new]] = True
        self.rows["partition"][slots[new]] = homes[new]
        return codes, slots

    def _slots_of(self, keys: Sequence[str]) -> Ints:
        """The slot of each key; one is found for those that had none."""
        slots = np.fromiter(map(self._slots.get, keys, itertools.repeat(NONE)), np.int64, len(keys))
        for place in np.flatnonzero(slots == NONE).tolist():
            slots[place] = self._slot_for(keys[place], room_for=len(keys))
        return slots

    def _slot_for(self, key: str, room_for: int) -> int:
        if key not in self._slots:
            if not self._free and self._used == self.rows.shape[0]:
                self._grow(room_for)
            if self._free:
                slot = self._free.pop()
            else:
                slot = self._used
                self._used += 1
            self._slots[key] = slot
            self.keys[slot] = key
        return self._slots[key]

    def _grow(self, wanted: int) -> None:
        """Make room for half as many rows again, and for `wanted` at least."""
        more = max(self.rows.shape[0] // 2, wanted, _SPARE)
        self.rows = _longer(self.rows, more)
        self.keys = _longer(self.keys, more)
        self.traces = _longer(self.traces, more)
        self.agent_times = _longer(self.agent_times, more)
        self._touched = _longer(self._touched, more)

    def _save(self, slots: Ints) -> None:
        untouched = slots[~self._touched[slots]]
        self._touched[untouched] = True
        rows = np.take(self.rows, untouched)  # five times as fast as rows[untouched]
        self._saved.append(_Saved(untouched, rows, self.traces[untouched], self.agent_times[untouched]))

    def _run(self, slots: Ints, batch: pa.RecordBatch, accepted: npt.NDArray[np.bool_]) -> Folded:
        room = batch.num_rows + MOST_WINDOWS
        windows, signals = np.zeros(room, WINDOW), np.zeros(room + MOST_SIGNALS, SIGNAL)
        all_windows, all_signals = [], []
        columns = (_integers(batch.column(name)) for name in ("received_at", "progress", "replicatesize", "totalsize"))
        received_at, progress, replicatesize, totalsize = columns
        begin = 0
        while begin < batch.num_rows:
            begin, made, raised = fold_events(
                self.rows,
                slots,
                received_at,
                progress,
                replicatesize,
                totalsize,
                self.settings.bucket_us,
                self.settings.eta_part,
                begin,
                accepted,
                windows,
                signals,
            )
            all_windows.append(windows[:made].copy())
            all_signals.append(signals[:raised].copy())
        return Folded(np.concatenate(all_windows), np.concatenate(all_signals))

    def _take_latest(self, codes: Ints, slots: Ints, batch: pa.RecordBatch, accepted: npt.NDArray[np.bool_]) -> None:
        """What the last accepted report of each series says beside its progress goes into the row as it is."""
        last = np.full(slots.shape[0], NONE, np.int64)
        events = np.flatnonzero(accepted)
        last[codes[events]] = events
        slots, last = slots[last != NONE], last[last != NONE]
        taken = batch.select(_LATEST).take(pa.array(last))
        for name in GAUGES:
            self.rows[name][slots] = taken.column(name).to_numpy(zero_copy_only=False)
        self.rows["remain_time"][slots] = _integers(pc.fill_null(taken.column("remain_time"), NONE))
        tests = taken.column("need_migration_test").cast(pa.int8())
        self.rows["need_migration_test"][slots] = _integers(pc.fill_null(tests, NONE))
        self.traces[slots] = taken.column("process_trace").to_numpy(zero_copy_only=False)
        self.agent_times[slots] = taken.column("agent_time").to_numpy(zero_copy_only=False)


def identity(key: str) -> tuple[str, str, str]:
    """Project, task and subtask of a series' key."""
    project_id, rest = key.split("/", 1)
    task_id, subtask_name = rest.rsplit("/", 1)
    return sys.intern(project_id), task_id, sys.intern(subtask_name)


def _longer(array: npt.NDArray[Any], more: int) -> npt.NDArray[Any]:
    """A copy with empty places at its end, which take no memory before they are written to."""
    make = np.empty if array.dtype == object else np.zeros  # an empty object is None
    longer = make(array.shape[0] + more, array.dtype)
    longer[: array.shape[0]] = array
    return longer


def _integers(array: Any) -> Ints:
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    return np.asarray(array).astype(np.int64, copy=False)

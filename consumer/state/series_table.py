"""The series table: one row per series, found by its key, folded in batches, restored when a transaction aborts.

It owns memory and decides nothing: the rules are in `fold`. No clock, no I/O.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from taskstream.consumer.state.event_ids import NO_ID, hash_event_ids
from taskstream.consumer.state.fold import fold_events
from taskstream.consumer.state.minutes import MAX_WINDOWS
from taskstream.consumer.state.series import GAUGES, NONE, ROW, SIGNAL, WINDOW, Rows
from taskstream.consumer.state.signals import MAX_SIGNALS
from taskstream.consumer.state.table.change_log import ChangeLog
from taskstream.consumer.state.table.key_index import KeyIndex, packed_keys
from taskstream.consumer.state.table.row_steps import touch_slots, words_of
from taskstream.consumer.state.table.slot_texts import PackedTexts, SlotTexts
from taskstream.consumer.state.tasks.task_limit import TaskLimit, tasks_per_partition

Ints = npt.NDArray[np.int64]
Objects = npt.NDArray[np.object_]

_LATEST = [*GAUGES, "remain_time", "need_migration_test", "process_trace", "agent_time"]
"""The fields that are copied into the row unchanged."""
_SERIES = ("project_id", "task_id", "subtask_name")
EVENT_COLUMNS = frozenset({"event_id", *_SERIES, "received_at", "progress", "replicatesize", "totalsize", *_LATEST})
"""The fields of ProgressReported that the fold reads. A reader need not decode the others."""
_SPARE = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the fold. A change of the bucket on a live stream requires a rebuild of the state."""

    bucket_s: float = 60.0
    eta_part: float = 0.33
    """An ETA_MOVED signal is raised when the end moved by more than this part of the time that remained."""
    tasks_per_project: int = 0
    """Live tasks of a project; 0: no limit."""
    partitions: int = 1
    """Of the progress topic: each gets its share of `tasks_per_project`, see `tasks_per_partition`."""

    @property
    def bucket_us(self) -> int:
        """The bucket width in microseconds."""
        return round(self.bucket_s * 1_000_000)


@dataclass(frozen=True, slots=True)
class Folded:
    """The output of one batch, in order: closed windows [WINDOW] and signals [SIGNAL]."""

    windows: npt.NDArray[np.void]
    signals: npt.NDArray[np.void]
    refused: Ints
    """The indices of the events that were not folded: their task is new, and its project is at its limit of tasks."""
    duplicates: int = 0
    """How many of its events had been folded before."""


@dataclass(frozen=True, slots=True)
class _Saved:
    """Rows as they were before the open transaction changed them."""

    slots: Ints
    rows: Rows
    traces: Ints
    agent_times: Ints
    """[slots, 2] The bounds of the texts."""


def longer(column: npt.NDArray[Any], more: int, value: object = None) -> npt.NDArray[Any]:
    """A copy with `more` elements at its end: each is `value`, or empty, which takes no memory before it is written."""
    make = np.empty if column.dtype == object else np.zeros  # an empty object is None
    copy = make(column.shape[0] + more, column.dtype)
    if column.dtype.names is None:
        copy[: column.shape[0]] = column
    else:
        _bytes_of(copy)[: column.shape[0]] = _bytes_of(column)
    if value is not None:
        copy[column.shape[0] :] = value
    return copy


def _bytes_of(rows: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """[rows, bytes] The memory of contiguous rows. numpy copies rows field by field, which takes five times as long."""
    return rows.view(np.uint8).reshape(rows.shape[0], rows.dtype.itemsize)


def _runs(given: np.dtype[Any], held: np.dtype[Any]) -> list[tuple[int, int, int]]:
    """Where the fields of `held` begin in it and in `given`, and bytes; neighbours in both are one run."""
    if given == held:
        return [(0, 0, given.itemsize)]
    runs: list[tuple[int, int, int]] = []
    for name in held.names or ():
        here, there, size = held.fields[name][1], given.fields[name][1], held[name].itemsize  # type: ignore[index]
        if runs and here - runs[-1][0] == there - runs[-1][1]:
            size += here - runs[-1][0]
            here, there, _ = runs.pop()
        runs.append((here, there, size))
    return runs


class SeriesTable:
    """Rows in slots. All changes between two calls of `commit` or `rollback` are one transaction."""

    def __init__(self, settings: Settings | None = None, row: np.dtype[Any] = ROW) -> None:
        """row: `ROW`, or `SHOWN_ROW` for a table that only `put` and `drop` change."""
        self.settings = settings or Settings()
        self.rows: Rows = np.zeros(0, row)
        self._runs = _runs(ROW, row)
        self.keys: Objects = np.empty(0, object)
        """[slot] project_id/task_id/subtask_name."""
        self.traces = SlotTexts()
        self.agent_times = SlotTexts()
        self._changes = ChangeLog()
        """Of slots whose series was added or dropped."""
        self._writes = ChangeLog()
        """Of slots whose row was written."""
        self._index = KeyIndex()
        self._used = 0
        """How many slots were ever in use; those of them whose series was dropped are in `_free`."""
        self._free: list[int] = []
        self._expected = 0
        """How many series `expect` was told of."""
        self._changed: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._code_of: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        """[slot] scratch of `touch_slots`."""
        self._saved: list[_Saved] = []
        self._task_limit: TaskLimit | None = None
        """None: no limit."""
        if self.settings.tasks_per_project:
            limit = tasks_per_partition(self.settings.tasks_per_project, self.settings.partitions)
            self._task_limit = TaskLimit(limit, self._keys_of)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def changes(self) -> int:
        """Counts the changes that added or dropped series, any number of them."""
        return self._changes.count

    @property
    def writes(self) -> int:
        """Counts the writes of rows; each wrote any number of them."""
        return self._writes.count

    def fold(self, batch: pa.RecordBatch, partitions: npt.NDArray[np.int32]) -> Folded:
        """Fold events into their rows.

        batch: the columns EVENT_COLUMNS of ProgressReported, in offset order within each series.
        partitions: [events], the partition of each event, which is also that of its series.
        """
        if batch.num_rows == 0:
            return Folded(np.zeros(0, WINDOW), np.zeros(0, SIGNAL), np.zeros(0, np.int64))
        slots = self._locate(batch, partitions)
        refused = np.zeros(0, np.int64)
        if self._task_limit is not None and slots.min() == NONE:
            refused = np.flatnonzero(slots == NONE)
            kept = np.flatnonzero(slots != NONE)
            batch, slots = batch.take(pa.array(kept)), slots[kept]
        windows, signals, duplicates = self._fold_slots(slots, batch)
        return Folded(windows, signals, refused, duplicates)

    def refuses(self, key: str, partition: int) -> bool:
        """Whether a new series of this key would be refused, because its project is at its limit of tasks."""
        return self._task_limit is not None and self._task_limit.is_refused(key, partition)

    @property
    def tasks_per_partition(self) -> int:
        """The limit of a project's live tasks in one partition; 0: no limit."""
        return 0 if self._task_limit is None else self._task_limit.limit

    def put(self, keys: Sequence[str], rows: Rows, traces: pa.Array, agent_times: pa.Array) -> Ints:
        """Write rows as they were published, and return their slots; not part of a transaction.

        traces, agent_times: [keys] strings or null.
        """
        slots = self._index.find(packed_keys(keys))
        self._add_slots(keys, slots, np.flatnonzero(slots == NONE))
        if self._task_limit is not None:
            self._count_put(self._task_limit, keys, slots, rows["partition"])
        self._writes.note(slots)
        held, given = _bytes_of(self.rows), _bytes_of(np.ascontiguousarray(rows))
        for here, there, size in self._runs:
            held[slots, here : here + size] = given[:, there : there + size]
        self.traces.put(slots, traces)
        self.agent_times.put(slots, agent_times)
        self._compact()
        return slots

    def expect(self, series: int) -> None:
        """The table will have about so many series: when it grows next, it grows for them, up to eightfold."""
        self._expected = series

    def drop(self, slots: Ints) -> None:
        """Drop these series; not part of a transaction."""
        if self._task_limit is not None:
            for slot in slots.tolist():
                self._task_limit.remove(self.keys[slot], int(self.rows["partition"][slot]))
        self._index.remove(slots)
        self._changes.note(slots)
        self._writes.note(slots)
        _bytes_of(self.rows)[slots] = 0
        self.keys[slots] = None
        self.traces.bounds[slots] = 0
        self.agent_times.bounds[slots] = 0
        self._free.extend(slots.tolist())

    def find(self, keys: Sequence[str]) -> Ints:
        """The slots of those keys that the table holds."""
        slots = self._index.find(packed_keys([key for key in keys if key is not None]))  # None: of a dropped slot
        found: Ints = slots[slots != NONE]
        return found

    def changed_since(self, changes: int) -> Ints:
        """The slots whose series was added or dropped after the count `changes`, each once."""
        return self._changes.since(changes)

    def written_since(self, writes: int) -> Ints:
        """The slots whose row was added, changed or dropped after the count `writes`, each once."""
        return self._writes.since(writes)

    def of_partitions(self, partitions: Sequence[int]) -> Ints:
        """The slots of all series of these partitions."""
        return np.flatnonzero(self.rows["live"] & np.isin(self.rows["partition"], list(partitions)))

    def save(self, slots: Ints) -> None:
        """Save these rows before a change, so that `rollback` restores them. Call it before writing to `rows`."""
        self._writes.note(slots)
        unchanged = slots[~self._changed[slots]]
        self._changed[unchanged] = True
        rows = np.take(self.rows, unchanged)  # five times as fast as rows[unchanged]
        self._saved.append(_Saved(unchanged, rows, *self._bounds_of(unchanged)))

    @property
    def changed(self) -> Ints:
        """The slots changed since the last commit or rollback, each once."""
        return np.flatnonzero(self._changed)

    @property
    def changed_count(self) -> int:
        """How many slots `changed` has."""
        return int(np.count_nonzero(self._changed))

    def commit(self) -> None:
        """Keep the changes."""
        for saved in self._saved:
            self._changed[saved.slots] = False
        self._saved.clear()
        self._compact()

    def rollback(self) -> None:
        """Restore every row as it was at the last commit, and drop the series that are new since then."""
        for saved in reversed(self._saved):
            self.drop(saved.slots[~saved.rows["live"]])
            self._writes.note(saved.slots)
            _bytes_of(self.rows)[saved.slots] = _bytes_of(saved.rows)
            self.traces.bounds[saved.slots] = saved.traces
            self.agent_times.bounds[saved.slots] = saved.agent_times
        self._changed[:] = False
        self._saved.clear()

    def _locate(self, batch: pa.RecordBatch, partitions: npt.NDArray[np.int32]) -> Ints:
        """[events] The slot of each event's series, which is added if it is new; NONE if it is refused."""
        joined = pc.binary_join_element_wise(*(batch.column(name) for name in _SERIES), "/")
        slots = self._index.find(joined)
        events = np.flatnonzero(slots == NONE)
        if events.size:
            self._add_series(joined.take(pa.array(events)), partitions[events], slots, events)
        return slots

    def _add_series(self, names: pa.Array, partitions: npt.NDArray[np.int32], slots: Ints, events: Ints) -> None:
        """Add the series of these events, of which each has the key in `names`, and set their `slots`."""
        encoded = pc.dictionary_encode(names)
        codes = np.asarray(encoded.indices)
        keys = encoded.dictionary.to_pylist()
        partition_of = np.empty(len(keys), np.int32)
        partition_of[codes] = partitions
        new = np.arange(len(keys))
        if self._task_limit is not None:
            new = new[self._task_limit.admit(keys, partition_of.tolist())]
        added = np.full(len(keys), NONE, np.int64)
        self._add_slots(keys, added, new)
        self.save(added[new])
        self.rows["live"][added[new]] = True
        self.rows["partition"][added[new]] = partition_of[new]
        slots[events] = added[codes]

    def _add_slots(self, keys: Sequence[str], slots: Ints, new: Ints) -> None:
        """Give each key with an index in `new` a slot, and set its place in `slots`; a key may be there twice."""
        names = [keys[index] for index in new.tolist()]
        added = list(dict.fromkeys(names))
        count = len(added)
        missing = count - len(self._free) - (self.rows.shape[0] - self._used)
        if missing > 0:
            self._grow(missing)
        freed = min(count, len(self._free))
        places = self._free[len(self._free) - freed :][::-1]
        del self._free[len(self._free) - freed :]
        places += range(self._used, self._used + count - freed)
        self._used += count - freed
        self._index.add(packed_keys(added), np.array(places, np.int64))
        self.keys[places] = added
        self._changes.note(places)
        slots[new] = places if len(names) == count else self._index.find(packed_keys(names))

    def _count_put(self, limit: TaskLimit, keys: Sequence[str], slots: Ints, partitions: Ints) -> None:
        """Count the series that are new, or that come from another partition."""
        were, live = self.rows["partition"][slots], self.rows["live"][slots]
        for index in np.flatnonzero(~live | (were != partitions)).tolist():
            if live[index]:
                limit.remove(keys[index], int(were[index]))
            limit.add(keys[index], int(partitions[index]))

    def _keys_of(self, project_id: str, partition: int) -> list[str]:
        """The keys of the series of a project in a partition."""
        beginning = f"{project_id}/"
        return [key for key in self.keys[self.of_partitions([partition])].tolist() if key.startswith(beginning)]

    def _bounds_of(self, slots: Ints) -> tuple[Ints, Ints]:
        """[slots, 2] The bounds of the traces and of the agent times."""
        return np.take(self.traces.bounds, slots, axis=0), np.take(self.agent_times.bounds, slots, axis=0)

    def _compact(self) -> None:
        """Free the memory of former texts, unless a rollback could need them."""
        if not self._saved:
            self.traces.compact()
            self.agent_times.compact()

    def _grow(self, wanted: int) -> None:
        """Add room for half as many rows again, for `wanted` at least, and for those that are expected."""
        held = self.rows.shape[0]
        more = max(held // 2, wanted, _SPARE, min(self._expected - held, 7 * held))
        self.rows = longer(self.rows, more)
        self.keys = longer(self.keys, more)
        self.traces.reserve(held + more)
        self.agent_times.reserve(held + more)
        self._changed = longer(self._changed, more)
        self._code_of = longer(self._code_of, more)
        self._changes.grow(more)
        self._writes.grow(more)

    def _fold_slots(self, slots: Ints, batch: pa.RecordBatch) -> tuple[Any, Any, int]:
        """Fold events into the rows of these slots [events].

        Returns the closed windows [WINDOW], the signals [SIGNAL], and how many events were duplicates.
        """
        events = batch.num_rows
        columns = (_integers(batch.column(name)) for name in ("received_at", "progress", "replicatesize", "totalsize"))
        received_at, progress, replicatesize, totalsize = columns
        event_ids = _hashes_of(batch.column("event_id"))
        latest_numbers = _latest_numbers(batch)
        windows, signals = np.zeros(events + MAX_WINDOWS, WINDOW), np.zeros(events + MAX_SIGNALS, SIGNAL)
        all_windows, all_signals = [np.zeros(0, WINDOW)], [np.zeros(0, SIGNAL)]
        accepted = np.zeros(events, np.bool_)
        touched, unsaved, unsaved_at = np.empty((3, events), np.int64)
        codes = np.empty(events, np.int32)
        self._writes.count += 1
        touched_count, unsaved_count = touch_slots(
            slots, self._writes.at, self.writes, self._changed, self._code_of, codes, touched, unsaved, unsaved_at
        )
        touched, unsaved, unsaved_at = touched[:touched_count], unsaved[:unsaved_count], unsaved_at[:unsaved_count]
        self._writes.log(touched)
        saved = _Saved(unsaved, np.empty(unsaved_count, ROW), *self._bounds_of(unsaved))
        self._saved.append(saved)
        words, saved_words = words_of(self.rows), words_of(saved.rows)
        saved_count = np.zeros(1, np.int64)
        begin = duplicates = 0
        try:
            while begin < events:
                begin, window_count, signal_count, repeated = fold_events(
                    self.rows,
                    words,
                    slots,
                    event_ids,
                    received_at,
                    progress,
                    replicatesize,
                    totalsize,
                    latest_numbers,
                    self.settings.bucket_us,
                    self.settings.eta_part,
                    begin,
                    unsaved_at,
                    saved_words,
                    saved_count,
                    accepted,
                    windows,
                    signals,
                )
                all_windows.append(windows[:window_count].copy())
                all_signals.append(signals[:signal_count].copy())
                duplicates += repeated
        finally:  # a rollback after an exception restores these rows too, which nothing has changed yet
            first = int(saved_count[0])
            _bytes_of(saved.rows)[first:] = _bytes_of(self.rows)[unsaved[first:]]
        last = np.full(touched_count, NONE, np.int64)
        events_accepted = np.flatnonzero(accepted)
        last[codes[events_accepted]] = events_accepted
        latest = pa.array(last[last != NONE])
        for texts, name in ((self.traces, "process_trace"), (self.agent_times, "agent_time")):
            texts.put(touched[last != NONE], batch.column(name).take(latest))
        return np.concatenate(all_windows), np.concatenate(all_signals), duplicates


def identity(key: str) -> tuple[str, str, str]:
    """Project, task and subtask of a series' key."""
    project_id, rest = key.split("/", 1)
    task_id, subtask_name = rest.rsplit("/", 1)
    return sys.intern(project_id), task_id, sys.intern(subtask_name)


def subtask_of(key: str) -> str:
    """The subtask of a series' key."""
    return sys.intern(key[key.rindex("/") + 1 :])


def _latest_numbers(batch: pa.RecordBatch) -> tuple[Ints, Ints, npt.NDArray[np.int8]]:
    """The bits of the gauges [GAUGES, events], remain_time [events] and need_migration_test [events], as in a row."""
    gauges = np.empty((len(GAUGES), batch.num_rows))
    for index, name in enumerate(GAUGES):
        gauges[index] = batch.column(name).to_numpy(zero_copy_only=False)
    remain_time = _integers(pc.fill_null(batch.column("remain_time"), NONE))
    tests = np.asarray(pc.fill_null(batch.column("need_migration_test").cast(pa.int8()), NONE))
    return gauges.view(np.int64), remain_time, tests


def _hashes_of(event_ids: pa.Array) -> Ints:
    """[events] The hash of each event id; NO_ID for an empty one and for null."""
    hashes: Ints = np.full(len(event_ids), NO_ID, np.int64)
    packed = PackedTexts(event_ids)
    hash_event_ids(packed.data, packed.offsets, hashes)
    return hashes


def _integers(array: Any) -> Ints:
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    return np.asarray(array).astype(np.int64, copy=False)

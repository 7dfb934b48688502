"""What a table and the oracle hold and give off, in the same words, floats to the last bit. It judges nothing."""

from __future__ import annotations

import itertools
import math
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.state.series import GAUGES, NONE, ROW, Health, Signal, Trend
from taskstream.consumer.state.series_table import EVENT_COLUMNS, SeriesTable
from taskstream.consumer.state.silence import mark_silent, silent
from taskstream.consumer.state.state_records import held_minutes
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.read_plan import columns_of
from tests.consumer.oracle.oracle import Oracle
from tests.consumer.oracle.oracle_series import Event, Series

Told = dict[str, list[dict[str, Any]]]
"""For each series what it gave off, in order."""

_EVENT = columns_of(newest("ProgressReported"), EVENT_COLUMNS)
_WORDS: dict[str, Any] = {"trend": Trend, "health": Health, "signal": Signal, "before": Health, "after": Health}
_MAY_BE_NONE = {"eta", "eta_before", "eta_told", "eta_told_at", "silent_since", "remain_time", "need_migration_test"}
_SAID = (*GAUGES, "remain_time", "need_migration_test", "process_trace", "agent_time")


def batch_of(events: Sequence[Event]) -> pa.RecordBatch:
    """These reports as the columns that a reader of the topic gives."""
    arrays = [pa.array([_field(event, each.name) for event in events], each.arrow) for each in _EVENT]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([(each.name, each.arrow) for each in _EVENT]))


def partitions_of(events: Sequence[Event]) -> npt.NDArray[np.int32]:
    """Where each report lies: any home will do, so long as a series has one."""
    return np.array([zlib.crc32(event.series.encode()) % 12 for event in events], np.int32)


class Telling:
    """A table, and what its series told since this began."""

    def __init__(self, table: SeriesTable) -> None:
        self.table = table
        self.windows: Told = defaultdict(list)
        self.signals: Told = defaultdict(list)

    def fold(self, events: Sequence[Event], splits: Iterable[int] = ()) -> Telling:
        """Fold the events in batches that begin at these places of them."""
        places = sorted({0, *(split for split in splits if split < len(events)), len(events)})
        for begin, end in itertools.pairwise(places):
            folded = self.table.fold(batch_of(events[begin:end]), partitions_of(events[begin:end]))
            _tell(self.table, folded.windows, self.windows)
            _tell(self.table, folded.signals, self.signals)
        return self

    def judge_silence(self, now_us: int) -> list[str]:
        """Mark what is silent at this time; the keys of what was."""
        slots = silent(self.table.rows, now_us, self.table.settings.bucket_us)
        _tell(self.table, mark_silent(self.table, slots, now_us), self.signals)
        return [str(key) for key in self.table.keys[slots]]


def rows_of(table: SeriesTable) -> dict[str, dict[str, Any]]:
    """Every row of the table, by its key."""
    slots = np.flatnonzero(table.rows["live"])
    held = held_minutes(table.rows[slots], table.settings.bucket_us)
    found = {}
    for slot, minutes in zip(slots.tolist(), held.tolist(), strict=True):
        row = {name: _word(name, table.rows[slot][name]) for name in ROW.names or () if name != "minute_bytes"}
        ring = table.rows[slot]["minute_bytes"].tolist()
        assert not any(ring[: 30 - minutes])
        row["minute_bytes"] = ring[30 - minutes :]
        row |= {"process_trace": table.traces[slot], "agent_time": table.agent_times[slot]}
        found[table.keys[slot]] = row
    return found


def expected_rows(oracle: Oracle) -> dict[str, dict[str, Any]]:
    """Every series of the oracle, by its key."""
    return {key: _expected_row(key, series) for key, series in oracle.series.items()}


def told_by(records: Told) -> Told:
    """What the oracle's series told."""
    return {
        key: [{name: _bits(value) for name, value in each.items()} for each in told] for key, told in records.items()
    }


def differences(found: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """For each series the columns that differ: what was found, and what was expected."""
    differing = {}
    for key in found.keys() | expected.keys():
        ours, theirs = found.get(key, {}), expected.get(key, {})
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if names:
            differing[key] = {name: (ours.get(name), theirs.get(name)) for name in names}
    return differing


def exactly(table: SeriesTable) -> dict[str, tuple[Any, ...]]:
    """Every row as it lies in memory, column by column, by its key."""
    slots = np.flatnonzero(table.rows["live"]).tolist()
    names = ROW.names or ()
    return {
        table.keys[slot]: (
            *(table.rows[slot][name].tobytes() for name in names),
            table.traces[slot],
            table.agent_times[slot],
        )
        for slot in slots
    }


def _tell(table: SeriesTable, records: npt.NDArray[np.void], into: Told) -> None:
    names = [name for name in records.dtype.names or () if name != "slot"]
    for record in records:
        into[table.keys[record["slot"]]].append({name: _word(name, record[name]) for name in names})


def _field(event: Event, name: str) -> Any:
    project_id, task_id, subtask_name = event.series.split("/")
    known = {"project_id": project_id, "task_id": task_id, "subtask_name": subtask_name}
    if name in known:
        return known[name]
    return event.said.get(name) if name in _SAID else getattr(event, name)


def _expected_row(key: str, series: Series) -> dict[str, Any]:
    row = {each.name: _bits(getattr(series, each.name)) for each in fields(series) if each.name != "said"}
    row |= {name: _bits(series.said.get(name)) for name in _SAID}
    return row | {"live": True, "partition": zlib.crc32(key.encode()) % 12}


def _word(name: str, value: Any) -> Any:
    if name in _WORDS:
        return _WORDS[name](int(value)).name
    plain = value.item()
    if name == "need_migration_test" and plain != NONE:
        return bool(plain)
    return None if name in _MAY_BE_NONE and plain == NONE else _bits(plain)


def _bits(value: Any) -> Any:
    """A float as its bits in words, and no number as None."""
    if isinstance(value, float):
        return None if math.isnan(value) else value.hex()
    return value

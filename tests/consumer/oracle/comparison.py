"""The rows and the output of a table and of the oracle in one form, in which they compare bit for bit."""

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

from taskstream.consumer.state.series import GAUGES, NONE, ROW, EtaReason, Health, Signal, Trend
from taskstream.consumer.state.series_table import EVENT_COLUMNS, SeriesTable
from taskstream.consumer.state.silence import mark_silent
from taskstream.consumer.state.state_records import held_minutes
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.read_plan import columns_of
from tests.consumer.oracle.murmur import murmur_hash
from tests.consumer.oracle.oracle import Oracle
from tests.consumer.oracle.oracle_rates import Gaps, Mixture
from tests.consumer.oracle.oracle_series import Event, Series
from tests.consumer.oracle.silent_series import silent

Records = dict[str, list[dict[str, Any]]]
"""The windows or the signals of each series, in order."""

_EVENT = columns_of(newest("ProgressReported"), EVENT_COLUMNS)
_WORDS: dict[str, Any] = {
    "trend": Trend,
    "health": Health,
    "eta_reason": EtaReason,
    "signal": Signal,
    "before": Health,
    "after": Health,
}
_MAY_BE_NONE = {"eta", "eta_before", "eta_told", "eta_told_at", "silent_since", "remain_time", "need_migration_test"}
_OTHER_FIELDS = (*GAUGES, "remain_time", "need_migration_test", "process_trace", "agent_time")


_LISTS = {"minute_bytes", "event_ids"}
_PARTS = {"other", "report_gaps", "advance_gaps", "event_ids", "mixture", "claims"}
"""The attributes of a `Series` that are not a column by their name."""


def batch_of(events: Sequence[Event]) -> pa.RecordBatch:
    """These reports as the columns that a reader of the topic returns."""
    arrays = [pa.array([_field(event, each.name) for event in events], each.arrow) for each in _EVENT]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([(each.name, each.arrow) for each in _EVENT]))


def partitions_of(events: Sequence[Event]) -> npt.NDArray[np.int32]:
    """The partition of each report: any will do, as long as all reports of a series have the same."""
    return np.array([zlib.crc32(event.series.encode()) % 12 for event in events], np.int32)


class RecordedTable:
    """A table that records the windows and signals of its series."""

    def __init__(self, table: SeriesTable) -> None:
        self.table = table
        self.windows: Records = defaultdict(list)
        self.signals: Records = defaultdict(list)
        self.duplicates = 0

    def fold(self, events: Sequence[Event], splits: Iterable[int] = ()) -> RecordedTable:
        """Fold the events in batches that begin at these indices."""
        bounds = sorted({0, *(split for split in splits if split < len(events)), len(events)})
        for begin, end in itertools.pairwise(bounds):
            folded = self.table.fold(batch_of(events[begin:end]), partitions_of(events[begin:end]))
            _append(self.table, folded.windows, self.windows)
            _append(self.table, folded.signals, self.signals)
            self.duplicates += folded.duplicates
        return self

    def mark_silent(self, now_us: int) -> list[str]:
        """Mark the series that are silent at this time; returns their keys."""
        slots = silent(self.table.rows, now_us, self.table.settings.bucket_us)
        _append(self.table, mark_silent(self.table, slots, now_us), self.signals)
        return [str(key) for key in self.table.keys[slots]]


def rows_of(table: SeriesTable) -> dict[str, dict[str, Any]]:
    """Every row of the table, by its key."""
    slots = np.flatnonzero(table.rows["live"])
    held = held_minutes(table.rows[slots], table.settings.bucket_us)
    found = {}
    for slot, minutes in zip(slots.tolist(), held.tolist(), strict=True):
        row = {name: _word(name, table.rows[slot][name]) for name in ROW.names or () if name not in _LISTS}
        ring = table.rows[slot]["minute_bytes"].tolist()
        assert not any(ring[: 30 - minutes])
        row["minute_bytes"] = ring[30 - minutes :]
        row["event_ids"] = [each for each in table.rows[slot]["event_ids"].tolist() if each]
        row |= {"process_trace": table.traces[slot], "agent_time": table.agent_times[slot]}
        found[table.keys[slot]] = row
    return found


def expected_rows(oracle: Oracle) -> dict[str, dict[str, Any]]:
    """Every series of the oracle, by its key."""
    return {key: _expected_row(key, series) for key, series in oracle.series.items()}


def comparable(records: Records) -> Records:
    """Records of the oracle in the form of this file."""
    return {
        key: [{name: _bits(value) for name, value in each.items()} for each in of_series]
        for key, of_series in records.items()
    }


def differences(found: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The columns that differ, by series: the found and the expected value."""
    differing = {}
    for key in found.keys() | expected.keys():
        ours, theirs = found.get(key, {}), expected.get(key, {})
        names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if names:
            differing[key] = {name: (ours.get(name), theirs.get(name)) for name in names}
    return differing


def exactly(table: SeriesTable) -> dict[str, tuple[Any, ...]]:
    """The bytes of every row in memory, column by column, by its key."""
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


def _append(table: SeriesTable, records: npt.NDArray[np.void], into: Records) -> None:
    names = [name for name in records.dtype.names or () if name != "slot"]
    for record in records:
        into[table.keys[record["slot"]]].append({name: _word(name, record[name]) for name in names})


def _field(event: Event, name: str) -> Any:
    project_id, task_id, subtask_name = event.series.split("/")
    known = {"project_id": project_id, "task_id": task_id, "subtask_name": subtask_name}
    if name in known:
        return known[name]
    return event.other.get(name) if name in _OTHER_FIELDS else getattr(event, name)


def _expected_row(key: str, series: Series) -> dict[str, Any]:
    row = {each.name: _bits(getattr(series, each.name)) for each in fields(series) if each.name not in _PARTS}
    row |= _gap_columns("report", series.report_gaps) | _gap_columns("advance", series.advance_gaps)
    row["typical_gap_s"], row["quiet_limit_s"] = row.pop("report_gap_s"), row.pop("report_limit_s")
    row["stall_limit_s"] = row.pop("advance_limit_s")
    row |= _mixture_columns(series.mixture) | _claim_columns(series.claims)
    row["event_ids"] = [murmur_hash(each.encode()) for each in series.event_ids]
    row |= {name: _bits(series.other.get(name)) for name in _OTHER_FIELDS}
    return row | {"live": True, "partition": zlib.crc32(key.encode()) % 12}


def _gap_columns(kind: str, gaps: Gaps) -> dict[str, Any]:
    return {
        f"{kind}_gaps": gaps.count,
        f"{kind}_gap_s": _bits(gaps.mean_s),
        f"{kind}_gap_square_s2": _bits(gaps.square_s2),
        f"{kind}_limit_s": _bits(gaps.limit_s),
    }


def _mixture_columns(mixture: Mixture) -> dict[str, Any]:
    unknown = [math.nan] * 3
    columns = {
        "counted_s": mixture.counted_s,
        "eta_rates": mixture.rates or unknown,
        "block_s": mixture.block_s,
        "block_bytes": mixture.block_bytes,
        "block_rates": [each or unknown for each in mixture.block_rates],
        "block_errors": mixture.errors,
        "block_counts": mixture.counts,
    }
    return {name: _bits(value) for name, value in columns.items()}


def _claim_columns(claims: Sequence[tuple[int, float, float] | None]) -> dict[str, Any]:
    known = [(NONE, math.nan, math.nan) if each is None else each for each in claims]
    names = ("claim_at", "claim_eta_s", "claim_width")
    return {name: _bits([each[place] for each in known]) for place, name in enumerate(names)}


def _word(name: str, value: Any) -> Any:
    if name in _WORDS:
        return _WORDS[name](int(value)).name
    if isinstance(value, np.ndarray):
        return _bits(value.tolist())
    plain = value.item()
    if name == "need_migration_test" and plain != NONE:
        return bool(plain)
    return None if name in _MAY_BE_NONE and plain == NONE else _bits(plain)


def _bits(value: Any) -> Any:
    """A float in hexadecimal, NaN as None, also within lists; other values as they are."""
    if isinstance(value, list):
        return [_bits(each) for each in value]
    if isinstance(value, float):
        return None if math.isnan(value) else value.hex()
    return value

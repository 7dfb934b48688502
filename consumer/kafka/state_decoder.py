"""The one decoder of SeriesState records: from a batch of messages to rows of the series table.

It reports the records that it cannot use, each with its reason. Its caller decides whether to stop (`require_readable`)
or to count and skip them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from taskstream.consumer.errors import StateUnreadable
from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.records.record_bounds import STATE_RANGES, ambiguous_names, bad_lists, outside_ranges
from taskstream.consumer.state.series import ROW, Rows
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.state_records import rows_of, strings_of
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.codec.packed_values import PackedValues, Values
from taskstream.schemas.ids import SchemaIds

Ints = npt.NDArray[np.int64]


class UnreadableReason(enum.StrEnum):
    """Why a record of the state topic cannot be used."""

    NOT_DECODABLE = "not_decodable"
    """Its value is not a SeriesState record."""
    KEY_DIFFERS = "key_differs"
    """Its key is not that of the series in its value."""
    OUT_OF_BOUNDS = "out_of_bounds"
    """It is a SeriesState record with a time, number or length that no series can have."""
    FOREIGN_TOMBSTONE = "foreign_tombstone"
    """It is a tombstone under a key that no series can have."""


@dataclass(frozen=True, slots=True)
class UnreadableState:
    """One record of the state topic that cannot be used."""

    record: RawRecord
    reason: UnreadableReason
    detail: str


@dataclass(frozen=True, slots=True)
class StateChanges:
    """What a batch changes, each key once: the last record of a key counts."""

    keys: Sequence[str] = ()
    rows: Rows = field(default_factory=lambda: np.zeros(0, ROW))
    """[keys]"""
    traces: pa.Array = field(default_factory=lambda: pa.nulls(0, pa.string()))
    """[keys] process_trace."""
    agent_times: pa.Array = field(default_factory=lambda: pa.nulls(0, pa.string()))
    """[keys] agent_time."""
    dropped: Sequence[str] = ()
    """The keys whose last record is a tombstone."""
    unreadable_records: Sequence[UnreadableState] = ()

    @property
    def unreadable(self) -> int:
        """How many records cannot be used."""
        return len(self.unreadable_records)

    def parts(self, most: int) -> Iterator[StateChanges]:
        """The same changes in parts, of up to `most` keys each."""
        for first in range(0, len(self.dropped), most):
            yield StateChanges(dropped=self.dropped[first : first + most])
        for first in range(0, len(self.keys), most):
            part = slice(first, first + most)
            yield StateChanges(self.keys[part], self.rows[part], self.traces[part], self.agent_times[part])

    def apply_to(self, table: SeriesTable) -> None:
        """Put the rows into a table, and drop those of `dropped` from it; not part of a transaction."""
        table.drop(table.find(self.dropped))
        if self.keys:
            table.put(self.keys, self.rows, self.traces, self.agent_times)


class StateDecoder:
    """Decodes batches of the state topic's records.

    `any_key`: a row under the key of another series is that key's row, and not unreadable. A comparison wants it so, to
    find such rows and to repair them.
    """

    def __init__(self, ids: SchemaIds, *, any_key: bool = False) -> None:
        self._reader = ColumnReader(ids, "SeriesState")
        self._any_key = any_key

    def decode(self, batch: SourceBatch) -> StateChanges:
        """The changes that these records make, in their order: of a key's records only the last one is decoded.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        keys = batch.keys().to_arrow()
        written, tombstones = _last_of_each_key(batch, keys)
        dropped = {index: _text(keys[index].as_py()) for index in tombstones.tolist()}
        values = batch.values if isinstance(batch.values, PackedValues) else PackedValues.of(batch.values)
        decoded = self._reader.read(values.take(written))
        unreadable = [
            (int(written[each.index]), UnreadableReason.NOT_DECODABLE, f"{each.reason}: {each.detail}")
            for each in decoded.rejected
        ]
        unreadable += [
            (index, UnreadableReason.FOREIGN_TOMBSTONE, f"a tombstone of the key {key!r}")
            for index, key in dropped.items()
            if not _can_be_series(key)
        ]
        records, places = decoded.batch, written[decoded.kept]
        bad = {
            row: (UnreadableReason.OUT_OF_BOUNDS, detail)
            for row, detail in (
                bad_lists(records) | ambiguous_names(records) | outside_ranges(records, STATE_RANGES)
            ).items()
        }
        names, differing = _keys_in(records, keys.take(pa.array(places)))
        for row, key in differing.items():
            if self._any_key and _can_be_series(key):
                names[row] = key
            else:
                detail = f"its key is {key!r}, and its series is {names[row]!r}"
                bad[row] = (UnreadableReason.KEY_DIFFERS, detail)
        if bad:
            unreadable += [(int(places[row]), *bad[row]) for row in sorted(bad)]
            kept = np.delete(np.arange(len(names)), list(bad))
            records, places, names = records.take(pa.array(kept)), places[kept], [names[row] for row in kept.tolist()]
        return StateChanges(
            names,
            rows_of(records, batch.partitions[places]),
            *strings_of(records),
            [key for key in dropped.values() if _can_be_series(key)],
            [UnreadableState(batch.record(index), reason, detail) for index, reason, detail in unreadable],
        )


def require_readable(changes: StateChanges, remedy: str) -> None:
    """Return when every record is a row of its key, within bounds. A foreign tombstone ends no row, and passes.

    Raises:
        StateUnreadable: one could not; the message ends with `remedy`.
    """
    for each in changes.unreadable_records:
        if each.reason != UnreadableReason.FOREIGN_TOMBSTONE:
            where = f"{each.record.topic}-{each.record.partition} offset {each.record.offset}"
            raise StateUnreadable(f"{where} is not a record of our state ({each.detail}): {remedy}")


def _last_of_each_key(batch: SourceBatch, keys: pa.BinaryArray) -> tuple[Ints, Ints]:
    """The indices of the last record of each key: of those with a value, and of the tombstones."""
    encoded = keys.dictionary_encode()
    last = np.empty(len(encoded.dictionary), np.int64)
    last[np.asarray(encoded.indices)] = np.arange(len(keys))  # of a repeated index, numpy keeps the last value
    tombstones = np.intersect1d(last, batch.tombstones(), assume_unique=True) if _has_empty(batch.values) else last[:0]
    return (last[~np.isin(last, tombstones)] if tombstones.size else last), tombstones


def _has_empty(values: Values) -> bool:
    if isinstance(values, PackedValues):
        return bool((values.starts == values.ends).any())
    return not all(values)


def _text(key: bytes) -> str:
    """A record's key; bytes that are not UTF-8 are replaced."""
    return key.decode("utf-8", "replace")


def _can_be_series(key: str) -> bool:
    """Whether the key is project_id/task_id/subtask_name; a task_id may hold slashes."""
    return key.count("/") >= 2


def _keys_in(batch: pa.RecordBatch, keys: pa.BinaryArray) -> tuple[list[str], dict[int, str]]:
    """The keys of the series in these SeriesState records, and [row] the keys of those that lie under another one.

    keys: [rows] those of the records.
    """
    parts = [batch.column(name) for name in ("project_id", "task_id", "subtask_name")]
    inside = pc.binary_join_element_wise(*parts, "/")
    names: list[str] = inside.to_numpy(zero_copy_only=False).tolist()
    same = np.asarray(pc.equal(inside.cast(pa.binary()), keys))
    return names, {row: _text(keys[row].as_py()) for row in np.flatnonzero(~same).tolist()}

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
from confluent_kafka import Message

from taskstream.consumer.errors import StateUnreadable
from taskstream.consumer.records.record_bounds import STATE_RANGES, ambiguous_names, bad_lists, outside_ranges
from taskstream.consumer.state.series import ROW, Rows
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.state_records import rows_of, strings_of
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds

Objects = npt.NDArray[np.object_]


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

    message: Message
    reason: UnreadableReason
    detail: str


@dataclass(frozen=True, slots=True)
class StateChanges:
    """What a batch changes, each key once: the last record of a key counts."""

    keys: Sequence[str] = ()
    rows: Rows = field(default_factory=lambda: np.zeros(0, ROW))
    """[keys]"""
    traces: Objects = field(default_factory=lambda: np.empty(0, object))
    """[keys] process_trace."""
    agent_times: Objects = field(default_factory=lambda: np.empty(0, object))
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

    def decode(self, messages: Sequence[Message]) -> StateChanges:
        """The changes that these records make, in their order: of a key's records only the last one is decoded.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        last = {_key_of(message): message for message in messages}
        written = [(key, message) for key, message in last.items() if message.value() is not None]
        tombstones = [key for key, message in last.items() if message.value() is None]
        decoded = self._reader.read([message.value() for _, message in written])
        unreadable = [
            UnreadableState(written[each.index][1], UnreadableReason.NOT_DECODABLE, f"{each.reason}: {each.detail}")
            for each in decoded.rejected
        ]
        unreadable += [
            UnreadableState(last[key], UnreadableReason.FOREIGN_TOMBSTONE, f"a tombstone of the key {key!r}")
            for key in tombstones
            if not _can_be_series(key)
        ]
        batch, read = decoded.batch, [written[index] for index in decoded.kept.tolist()]
        contents = _keys_in(batch)
        bad = {
            row: (UnreadableReason.OUT_OF_BOUNDS, detail)
            for row, detail in (bad_lists(batch) | ambiguous_names(batch) | outside_ranges(batch, STATE_RANGES)).items()
        }
        for row, (key, _) in enumerate(read):
            if not self._is_key_of(key, contents[row]):
                detail = f"its key is {key!r}, and its series is {contents[row]!r}"
                bad[row] = (UnreadableReason.KEY_DIFFERS, detail)
        if bad:
            unreadable += [UnreadableState(read[row][1], *bad[row]) for row in sorted(bad)]
            kept = np.delete(np.arange(len(read)), list(bad))
            batch, read = batch.take(pa.array(kept)), [read[row] for row in kept.tolist()]
        partitions = np.fromiter((message.partition() for _, message in read), np.int32, len(read))
        return StateChanges(
            [key for key, _ in read],
            rows_of(batch, partitions),
            *strings_of(batch),
            [key for key in tombstones if _can_be_series(key)],
            unreadable,
        )

    def _is_key_of(self, key: str, content: str) -> bool:
        return key == content or (self._any_key and _can_be_series(key))


def require_readable(changes: StateChanges, remedy: str) -> None:
    """Return when every record is a row of its key, within bounds. A foreign tombstone ends no row, and passes.

    Raises:
        StateUnreadable: one could not; the message ends with `remedy`.
    """
    for each in changes.unreadable_records:
        if each.reason != UnreadableReason.FOREIGN_TOMBSTONE:
            where = f"{each.message.topic()}-{each.message.partition()} offset {each.message.offset()}"
            raise StateUnreadable(f"{where} is not a record of our state ({each.detail}): {remedy}")


def _key_of(message: Message) -> str:
    """A record's key; bytes that are not UTF-8 are replaced."""
    key = message.key()
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else key or ""


def _can_be_series(key: str) -> bool:
    """Whether the key is project_id/task_id/subtask_name; a task_id may hold slashes."""
    return key.count("/") >= 2


def _keys_in(batch: pa.RecordBatch) -> list[str]:
    """The keys of the series in these SeriesState records."""
    parts = [batch.column(name) for name in ("project_id", "task_id", "subtask_name")]
    keys: list[str] = pc.binary_join_element_wise(*parts, "/").to_numpy(zero_copy_only=False).tolist()
    return keys

"""The records of one transaction: windows, signals, rejects and tombstones as they come, changed rows at the end.

A series is published once per commit, however often it changed. It encodes records and chooses topics and partitions;
it makes no other decision.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.state.series import SIGNAL, WINDOW
from taskstream.consumer.state.series_table import Folded, SeriesTable
from taskstream.consumer.state.state_records import signal_batch, state_batch, window_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.cloud_events import WORKER
from taskstream.schemas.codec.column_codec import ColumnWriter, Rejected
from taskstream.schemas.codec.header_columns import HeaderColumns, NumberedEvents, headers_part
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.codec.wire_format import Reason
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

Ints = npt.NDArray[np.int64]
_SCHEMA_ID_HEADER = "__value_schema_id"
"""Where newer Confluent serializers may put the schema id."""


class RecordSender(Protocol):
    """Sends records within a transaction; the first one begins it.

    Both raise `TransactionAborted` or `ProducerLost`; nothing that was sent is then visible to anybody.
    """

    def send(
        self,
        topic: str,
        key: str | bytes | None,
        value: bytes | None,
        partition: int = -1,
        headers: Sequence[tuple[str, str | bytes | None]] = (),
    ) -> None:
        """Send one record; value None is a tombstone, partition -1 is the partition of its key."""
        ...

    def send_packed(
        self, topic: str, keys: PackedValues, values: PackedValues, headers: HeaderColumns, partition: int = -1
    ) -> None:
        """Send records; partition -1 is the partition of each one's key."""
        ...


class Output:
    """Filled while work is open, sent at its commit, and cleared when it is committed or rolled back."""

    def __init__(self, ids: SchemaIds, topics: Topics, *, state_headers: bool = False) -> None:
        """`state_headers`: whether state records have the headers of CloudEvents, as windows and signals do."""
        self._topics = topics
        self._state = ColumnWriter(ids, newest("SeriesState"))
        self._window = ColumnWriter(ids, newest("RateWindow"))
        self._signal = ColumnWriter(ids, newest("SignalRaised"))
        self._state_events = NumberedEvents("SeriesState", WORKER) if state_headers else None
        self._window_events = NumberedEvents("RateWindow", WORKER)
        self._signal_events = NumberedEvents("SignalRaised", WORKER)
        self._windows: list[npt.NDArray[np.void]] = []
        self._signals: list[npt.NDArray[np.void]] = []
        self._rejects: list[tuple[RawRecord, Rejected]] = []
        self.tombstones: Ints = np.empty(0, np.int64)
        """The slots of series that are dropped: each gets a tombstone, and leaves the table after the commit."""

    def add_folded(self, folded: Folded) -> None:
        """Add the closed windows and signals of one batch."""
        self._windows.append(folded.windows)
        self._signals.append(folded.signals)

    def add_signals(self, signals: npt.NDArray[np.void]) -> None:
        """Add signals [SIGNAL] that no report raised."""
        self._signals.append(signals)

    def add_reject(self, record: RawRecord, why: Rejected) -> None:
        """Add a record that cannot be read."""
        self._rejects.append((record, why))

    def send(self, table: SeriesTable, sender: RecordSender) -> int:
        """Send all of it, and the changed rows of the table; returns the number of rows."""
        for record, why in self._rejects:
            sender.send(self._topics.rejected.name, record.key, record.value, headers=_headers(record, why))
        windows = np.concatenate([np.empty(0, WINDOW), *self._windows])
        if windows.size:
            values = self._window.write_packed(window_batch(table, windows))
            headers = self._window_events.columns(len(values))
            sender.send_packed(self._topics.rates.name, _keys(table, windows["slot"]), values, headers)
        signals = np.concatenate([np.empty(0, SIGNAL), *self._signals])
        if signals.size:
            values = self._signal.write_packed(signal_batch(table, signals))
            tasks = PackedValues.of([key.rsplit("/", 1)[0].encode() for key in table.keys[signals["slot"]]])
            headers = self._signal_events.timed_columns(signals["raised_at"].tolist())
            sender.send_packed(self._topics.signals.name, tasks, values, headers)
        for slot in self.tombstones.tolist():
            home = int(table.rows["partition"][slot])
            sender.send(self._topics.state.name, table.keys[slot], None, home)
        changed = np.setdiff1d(table.changed, self.tombstones)
        self._send_rows(table, changed, sender)
        return int(changed.size)

    def clear(self) -> None:
        """Discard all of it."""
        self._windows = []
        self._signals = []
        self._rejects = []
        self.tombstones = np.empty(0, np.int64)

    def _send_rows(self, table: SeriesTable, slots: Ints, sender: RecordSender) -> None:
        """Send each row to the state partition with the number of the partition that its events are in."""
        if not slots.size:
            return
        homes = table.rows["partition"][slots]
        order = np.argsort(homes, kind="stable")
        slots, homes = slots[order], homes[order]
        values = self._state.write_packed(state_batch(table, slots))
        bounds = [0, *(np.flatnonzero(np.diff(homes)) + 1).tolist(), len(values)]
        headers = [] if self._state_events is None else self._state_events.columns(len(values))
        keys = _keys(table, slots)
        for start, end in itertools.pairwise(bounds):
            part = keys.part(start, end), values.part(start, end), headers_part(headers, start, end)
            sender.send_packed(self._topics.state.name, *part, int(homes[start]))


def _keys(table: SeriesTable, slots: Ints) -> PackedValues:
    return PackedValues.of_texts(pa.array(table.keys[slots], pa.string()))


def _headers(record: RawRecord, why: Rejected) -> list[tuple[str, str | bytes | None]]:
    """The record's own headers, and those that say where it came from and why it was rejected."""
    origin = {
        "taskstream_reason": str(why.reason),
        "taskstream_detail": _detail(record, why),
        "taskstream_topic": record.topic,
        "taskstream_partition": str(record.partition),
        "taskstream_offset": str(record.offset),
        "taskstream_timestamp_ms": str(-1 if record.timestamp_ms is None else record.timestamp_ms),
    }
    return [*(each for each in record.headers if each[0] not in origin), *origin.items()]


def _detail(record: RawRecord, why: Rejected) -> str:
    """Why the record was rejected; names a schema id that stands in a header instead of before the value."""
    if why.reason == Reason.MAGIC and any(each[0] == _SCHEMA_ID_HEADER for each in record.headers):
        return (
            f"{why.detail}: the schema id is in the header {_SCHEMA_ID_HEADER}. Configure the writer's serializer to "
            "put it before the value"
        )
    return why.detail

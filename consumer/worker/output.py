"""The records of one transaction: windows, signals, rejects and tombstones as they come, changed rows at the end.

A series is published once per commit, however often it changed. It encodes records and chooses topics and partitions;
it makes no other decision.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.state.series import SIGNAL, WINDOW
from taskstream.consumer.state.series_table import Folded, SeriesTable
from taskstream.consumer.state.state_records import signal_batch, state_batch, window_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.cloud_events import WORKER, Headers, NumberedEvents
from taskstream.schemas.codec.column_codec import ColumnWriter, Rejected
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

    def send_many(
        self,
        topic: str,
        keys: Sequence[str],
        values: Sequence[bytes],
        headers: Iterable[Headers],
        partition: int = -1,
    ) -> None:
        """Send records with a list of headers each, which is read before the next one is asked for."""
        ...

    def send_packed(self, topic: str, keys: PackedValues, values: PackedValues, partition: int) -> None:
        """Send records without headers to one partition."""
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
            values = self._window.write(window_batch(table, windows))
            keys, headers = table.keys[windows["slot"]].tolist(), self._window_events.headers(len(values))
            sender.send_many(self._topics.rates.name, keys, values, headers)
        signals = np.concatenate([np.empty(0, SIGNAL), *self._signals])
        if signals.size:
            values = self._signal.write(signal_batch(table, signals))
            keys = [key.rsplit("/", 1)[0] for key in table.keys[signals["slot"]]]
            headers = self._signal_events.timed_headers(signals["raised_at"].tolist())
            sender.send_many(self._topics.signals.name, keys, values, headers)
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
        topic, events = self._topics.state.name, self._state_events
        if events is None:
            packed = PackedValues.of_texts(pa.array(table.keys[slots], pa.string()))
            for start, end in itertools.pairwise(bounds):
                sender.send_packed(topic, packed.part(start, end), values.part(start, end), int(homes[start]))
            return
        keys, wires = table.keys[slots].tolist(), list(values)
        for start, end in itertools.pairwise(bounds):
            headers = events.headers(end - start)
            sender.send_many(topic, keys[start:end], wires[start:end], headers, int(homes[start]))


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

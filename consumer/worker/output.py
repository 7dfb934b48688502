"""What one transaction will give off: closed windows, signals, rejects and tombstones as they come, rows at the end.

Each series is published once a commit, however often it changed. It encodes and addresses; it decides nothing.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import Message

from taskstream.consumer.kafka.transaction import Transaction
from taskstream.consumer.state.series import SIGNAL, WINDOW
from taskstream.consumer.state.series_table import Folded, SeriesTable
from taskstream.consumer.state.state_records import signal_batch, state_batch, window_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter, Rejected
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

Ints = npt.NDArray[np.int64]


class Output:
    """Filled while a transaction is open, sent when it is committed, thrown away when it is aborted."""

    def __init__(self, ids: SchemaIds, topics: Topics) -> None:
        self._topics = topics
        self._state = ColumnWriter(ids, newest("SeriesState"))
        self._window = ColumnWriter(ids, newest("RateWindow"))
        self._signal = ColumnWriter(ids, newest("SignalRaised"))
        self._windows: list[npt.NDArray[np.void]] = []
        self._signals: list[npt.NDArray[np.void]] = []
        self._rejects: list[tuple[Message, Rejected]] = []
        self._buried: Ints = np.empty(0, np.int64)

    def take(self, folded: Folded) -> None:
        """Closed windows and signals of one batch."""
        self._windows.append(folded.windows)
        self._signals.append(folded.signals)

    def signal(self, signals: npt.NDArray[np.void]) -> None:
        """Signals [SIGNAL] that no report raised."""
        self._signals.append(signals)

    def reject(self, message: Message, why: Rejected) -> None:
        """A record that cannot be read."""
        self._rejects.append((message, why))

    def bury(self, slots: Ints) -> None:
        """Series to be dropped: a tombstone each, and out of the table once that is committed."""
        self._buried = slots

    def send(self, table: SeriesTable, transaction: Transaction) -> int:
        """Send all of it, and the changed rows of the table; gives how many rows."""
        for message, why in self._rejects:
            transaction.send(self._topics.rejected.name, message.key(), message.value(), headers=_headers(message, why))
        windows = np.concatenate([np.empty(0, WINDOW), *self._windows])
        if windows.size:
            values = self._window.write(window_batch(table, windows))
            transaction.send_many(self._topics.rates.name, table.keys[windows["slot"]].tolist(), values)
        signals = np.concatenate([np.empty(0, SIGNAL), *self._signals])
        if signals.size:
            values = self._signal.write(signal_batch(table, signals))
            keys = [key.rsplit("/", 1)[0] for key in table.keys[signals["slot"]]]
            transaction.send_many(self._topics.signals.name, keys, values)
        for slot in self._buried.tolist():
            home = int(table.rows["partition"][slot])
            transaction.send(self._topics.state.name, table.keys[slot], None, home)
        changed = np.setdiff1d(table.changed, self._buried)
        self._send_rows(table, changed, transaction)
        return int(changed.size)

    def settled(self, table: SeriesTable) -> None:
        """The transaction is committed: what has a tombstone leaves the table."""
        table.drop(self._buried)

    def _send_rows(self, table: SeriesTable, slots: Ints, transaction: Transaction) -> None:
        """Each row into the partition that its events lie in."""
        if not slots.size:
            return
        homes = table.rows["partition"][slots]
        order = np.argsort(homes, kind="stable")
        slots, homes = slots[order], homes[order]
        values = self._state.write(state_batch(table, slots))
        keys = table.keys[slots].tolist()
        bounds = [0, *(np.flatnonzero(np.diff(homes)) + 1).tolist(), len(values)]
        for start, end in itertools.pairwise(bounds):
            name = self._topics.state.name
            transaction.send_many(name, keys[start:end], values[start:end], int(homes[start]))


def _headers(message: Message, why: Rejected) -> list[tuple[str, str | bytes | None]]:
    """The headers it had, and where it came from and why it is here."""
    _, timestamp_ms = message.timestamp()
    origin = {
        "taskstream_reason": str(why.reason),
        "taskstream_detail": why.detail,
        "taskstream_topic": message.topic(),
        "taskstream_partition": str(message.partition()),
        "taskstream_offset": str(message.offset()),
        "taskstream_timestamp_ms": str(timestamp_ms),
    }
    had: list[tuple[str, Any]] = list(message.headers() or [])  # type: ignore[arg-type] # a list, never a dict, when read
    kept = [(name, value) for name, value in had if name not in origin]
    return [*kept, *origin.items()]

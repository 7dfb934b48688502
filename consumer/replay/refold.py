"""Tables made of records: events folded with the current code, and published rows as they are. It reads no topic."""

from __future__ import annotations

from collections import Counter

import numpy as np

from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.state_decoder import StateDecoder, require_readable
from taskstream.consumer.records.event_decoder import EventDecoder
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.schemas.codec.wire_format import Reason
from taskstream.schemas.ids import SchemaIds

EVERYTHING = KeySelection()


class EventFold:
    """A table that events of `progress` are folded into. Windows and signals, which a worker publishes, are dropped."""

    def __init__(self, ids: SchemaIds, settings: Settings, selection: KeySelection = EVERYTHING) -> None:
        self.table = SeriesTable(settings)
        self.events = 0
        self.unreadable: Counter[str] = Counter()
        """[reason] Events that were not folded: the worker puts these on `rejected`."""
        self.first_us: int | None = None
        """When the first folded event was received, microseconds since 1970."""
        self._decoder = EventDecoder(ids)
        self._selection = selection

    def fold(self, events: SourceBatch) -> None:
        """Fold these events, in their order. `table.changed` then has the changed series."""
        if not self._selection.everything:
            wanted = [index for index, key in enumerate(events.keys()) if self._selection.includes(key)]
            events = events.take(np.array(wanted, np.int64))
        decoded = self._decoder.decode(events.values, events.timestamps_ms)
        self.unreadable.update(str(each.reason) for each in decoded.rejected)
        if decoded.batch.num_rows == 0:
            return
        if self.first_us is None:
            self.first_us = int(decoded.batch.column("received_at")[0].value)
        refused = self.table.fold(decoded.batch, events.partitions[decoded.kept]).refused.size
        if refused:
            self.unreadable[str(Reason.TOO_MANY_TASKS)] += refused
        self.events += decoded.batch.num_rows - refused


class PublishedRows:
    """A table of the rows that the `state` topic holds."""

    def __init__(self, ids: SchemaIds, settings: Settings) -> None:
        self.table = SeriesTable(settings)
        self._decoder = StateDecoder(ids, any_key=True)

    def add(self, records: SourceBatch) -> None:
        """Apply these records, in their order: the last one of a key is its row, a tombstone deletes it.

        Raises:
            StateUnreadable: a record could not be decoded, or its key is not that of any series.
        """
        changes = self._decoder.decode(records)
        require_readable(changes, "read it with the program that wrote it")
        changes.apply_to(self.table)

"""Records of the two topics into tables: events folded with today's code, published rows as they stand. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import Message

from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.state_decoder import newest_of, states_of
from taskstream.consumer.state.series_table import EVENT_COLUMNS, SeriesTable, Settings
from taskstream.consumer.state.state_records import rows_of, strings_of
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds

Numbers = npt.NDArray[np.int32]
EVERYTHING = KeySelection()


class EventFold:
    """A table that events of `progress` are folded into; what the worker would have given off is left out."""

    def __init__(self, ids: SchemaIds, settings: Settings, selection: KeySelection = EVERYTHING) -> None:
        self.table = SeriesTable(settings)
        self.events = 0
        self.unreadable: Counter[str] = Counter()
        """By reason: the worker does not fold these either, but puts them on `rejected`."""
        self.first_us: int | None = None
        """When the first event that was folded had been received."""
        self._reader = ColumnReader(ids, "ProgressReported", EVENT_COLUMNS)
        self._selection = selection

    def take(self, messages: Sequence[Any], partitions: Numbers) -> None:
        """Fold these, in their order; `partitions` is where each lies. What changes is told by `table.changed`."""
        if not self._selection.everything:
            places = [place for place, each in enumerate(messages) if self._selection.takes(each.key())]
            messages, partitions = [messages[place] for place in places], partitions[places]
        decoded = self._reader.read([message.value() for message in messages])
        self.unreadable.update(str(each.reason) for each in decoded.rejected)
        if decoded.batch.num_rows == 0:
            return
        if self.first_us is None:
            self.first_us = int(decoded.batch.column("received_at")[0].value)
        self.table.fold(decoded.batch, partitions[decoded.kept])
        self.events += decoded.batch.num_rows


class PublishedRows:
    """A table of the rows that the `state` topic holds."""

    def __init__(self, ids: SchemaIds, settings: Settings) -> None:
        self.table = SeriesTable(settings)
        self._reader = ColumnReader(ids, "SeriesState")

    def take(self, messages: Sequence[Message]) -> None:
        """Take these records, in their order: the last one of a key is its row, a tombstone ends it.

        Raises:
            StateUnreadable: a record is none of ours.
        """
        records, gone = newest_of(messages)
        self.table.drop(self.table.find(gone))
        if not records:
            return
        kept = list(records.values())
        batch = states_of(kept, self._reader, "read with the program that wrote it")
        partitions = np.fromiter(map(Message.partition, kept), np.int32, len(kept))
        self.table.put(list(records), rows_of(batch, partitions), *strings_of(batch))

"""Tables made of records: events folded with the current code, and published rows as they are. It reads no topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import Message

from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.state_decoder import StateDecoder, require_readable
from taskstream.consumer.records.event_decoder import EventDecoder, timestamps_of
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.schemas.codec.wire_format import Reason
from taskstream.schemas.ids import SchemaIds

Numbers = npt.NDArray[np.int32]
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

    def fold(self, messages: Sequence[Any], partitions: Numbers) -> None:
        """Fold these events, in their order; `partitions` [messages]. `table.changed` then has the changed series."""
        if not self._selection.everything:
            wanted = [index for index, each in enumerate(messages) if self._selection.includes(each.key())]
            messages, partitions = [messages[index] for index in wanted], partitions[wanted]
        decoded = self._decoder.decode([message.value() for message in messages], timestamps_of(messages))
        self.unreadable.update(str(each.reason) for each in decoded.rejected)
        if decoded.batch.num_rows == 0:
            return
        if self.first_us is None:
            self.first_us = int(decoded.batch.column("received_at")[0].value)
        refused = self.table.fold(decoded.batch, partitions[decoded.kept]).refused.size
        if refused:
            self.unreadable[str(Reason.TOO_MANY_TASKS)] += refused
        self.events += decoded.batch.num_rows - refused


class PublishedRows:
    """A table of the rows that the `state` topic holds."""

    def __init__(self, ids: SchemaIds, settings: Settings) -> None:
        self.table = SeriesTable(settings)
        self._decoder = StateDecoder(ids, any_key=True)

    def add(self, messages: Sequence[Message]) -> None:
        """Apply these records, in their order: the last one of a key is its row, a tombstone deletes it.

        Raises:
            StateUnreadable: a record could not be decoded, or its key is not that of any series.
        """
        changes = self._decoder.decode(messages)
        require_readable(changes, "read it with the program that wrote it")
        changes.apply_to(self.table)

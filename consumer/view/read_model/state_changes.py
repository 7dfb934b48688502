"""What records of the state topic say: new rows, and keys that are no more. It knows the record, not its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from confluent_kafka import Message

from taskstream.consumer.kafka.state_decoder import key_of, newest_of
from taskstream.consumer.state.series import ROW, Rows
from taskstream.consumer.state.state_records import rows_of, strings_of
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds


@dataclass(frozen=True, slots=True)
class StateChanges:
    """What one batch says, each key once."""

    keys: Sequence[str] = ()
    rows: Rows = field(default_factory=lambda: np.zeros(0, ROW))
    traces: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    agent_times: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object))
    dropped: Sequence[str] = ()
    unreadable: int = 0
    """Records left out because they could not be read."""


class StateChangeDecoder:
    """Makes `StateChanges` of batches; see `taskstream.consumer.view.follow.follower.Taker`."""

    def __init__(self, ids: SchemaIds) -> None:
        self._reader = ColumnReader(ids, "SeriesState")

    def take(self, records: Sequence[Message]) -> StateChanges:
        """What they say.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        ours = [record for record in records if key_of(record).count("/") >= 2]  # no worker writes another key
        found, dropped = newest_of(ours)
        kept = list(found.items())
        decoded = self._reader.read([record.value() for _, record in kept])
        read = [kept[place] for place in decoded.kept.tolist()]
        partitions = np.fromiter((record.partition() for _, record in read), np.int32, len(read))
        traces, agent_times = strings_of(decoded.batch)
        keys = [key for key, _ in read]
        unreadable = len(records) - len(ours) + len(decoded.rejected)
        return StateChanges(keys, rows_of(decoded.batch, partitions), traces, agent_times, dropped, unreadable)

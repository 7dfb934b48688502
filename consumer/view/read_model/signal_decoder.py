"""Decodes records of the signals topic into values. It knows the record, and neither the topic nor its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.records.record_bounds import SIGNAL_RANGES, ambiguous_names, outside_ranges
from taskstream.consumer.view.read_model.signal_log import RaisedSignal
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds

_NAMES = tuple(each.name for each in fields(RaisedSignal))


@dataclass(frozen=True, slots=True)
class RaisedSignals:
    """The signals of one batch."""

    signals: Sequence[RaisedSignal]
    unreadable: int
    """How many records were left out: not decodable, outside of their bounds, or under the key of another task."""


class SignalDecoder:
    """Decodes batches of the signals topic; a `BatchDecoder`, see `taskstream.consumer.view.follow.follower`."""

    def __init__(self, ids: SchemaIds) -> None:
        self._reader = ColumnReader(ids, "SignalRaised", frozenset(_NAMES))

    def decode(self, records: SourceBatch) -> RaisedSignals:
        """The signals of these records.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        decoded = self._reader.read(records.values)
        batch = decoded.batch
        tasks = pc.binary_join_element_wise(batch.column("project_id"), batch.column("task_id"), "/").to_pylist()
        bad = set(outside_ranges(batch, SIGNAL_RANGES)) | set(ambiguous_names(batch))
        keys = list(records.keys())
        bad |= {row for row, index in enumerate(decoded.kept.tolist()) if keys[index] != tasks[row].encode()}
        if bad:
            batch = batch.take(pa.array(np.delete(np.arange(batch.num_rows), list(bad))))
        columns = (_plain(batch.column(name)) for name in _NAMES)
        signals = [RaisedSignal(*values) for values in zip(*columns, strict=True)]
        return RaisedSignals(signals, len(records) - len(signals))


def _plain(column: pa.Array) -> list[object]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[object] = column.to_pylist()
    return values

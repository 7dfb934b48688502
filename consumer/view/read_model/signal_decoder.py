"""Decodes records of the signals topic into values. It knows the record, and neither the topic nor its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import pyarrow as pa
from confluent_kafka import Message

from taskstream.consumer.view.read_model.signal_log import RaisedSignal
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds

_NAMES = tuple(each.name for each in fields(RaisedSignal))


@dataclass(frozen=True, slots=True)
class RaisedSignals:
    """The signals of one batch."""

    signals: Sequence[RaisedSignal]
    unreadable: int
    """How many records could not be decoded, and were left out."""


class SignalDecoder:
    """Decodes batches of the signals topic; a `BatchDecoder`, see `taskstream.consumer.view.follow.follower`."""

    def __init__(self, ids: SchemaIds) -> None:
        self._reader = ColumnReader(ids, "SignalRaised", frozenset(_NAMES))

    def decode(self, records: Sequence[Message]) -> RaisedSignals:
        """The signals of these records.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        decoded = self._reader.read([record.value() for record in records])
        columns = (_plain(decoded.batch.column(name)) for name in _NAMES)
        signals = [RaisedSignal(*values) for values in zip(*columns, strict=True)]
        return RaisedSignals(signals, len(decoded.rejected))


def _plain(column: pa.Array) -> list[object]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: list[object] = column.to_pylist()
    return values

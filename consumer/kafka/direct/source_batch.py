"""Records as columns, as a consumer's fetch returns them, and the interface of such a fetch. It knows offsets only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, KafkaError

from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.schemas.codec.packed_values import PackedValues, Values

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Records in the order of each partition."""

    values: Values
    """[records] A value that is null may be here an empty one."""
    partitions: npt.NDArray[np.int32]
    """[records]"""
    offsets: Ints
    """[records]"""
    timestamps_ms: Ints
    """[records] Kafka's timestamps; negative where a record has none."""
    keys: Callable[[], PackedValues]
    """[records] The keys, a null as an empty one; it may be called until the next read of the same consumer."""
    record: Callable[[int], RawRecord]
    """Every part of the record with this index; until the next read, too."""

    def __len__(self) -> int:
        count: int = self.offsets.shape[0]
        return count

    def tombstones(self) -> Ints:
        """The indices of the records whose value is null; until the next read."""
        if isinstance(self.values, PackedValues):
            empty = np.flatnonzero(self.values.starts == self.values.ends).tolist()
            return np.array([index for index in empty if self.record(index).value is None], np.int64)
        return np.array([index for index, value in enumerate(self.values) if value is None], np.int64)

    def take(self, indices: Ints) -> SourceBatch:
        """The records with these indices."""
        places, values, keys, record = indices.tolist(), self.values, self.keys, self.record
        chosen = values.take(indices) if isinstance(values, PackedValues) else [values[place] for place in places]
        rows = self.partitions[indices], self.offsets[indices], self.timestamps_ms[indices]
        return SourceBatch(chosen, *rows, lambda: keys().take(indices), lambda index: record(places[index]))


def offsets_after(partitions: npt.NDArray[np.int32], offsets: Ints) -> dict[int, int]:
    """[partition] The offset after its last one; the offsets of a partition rise. Both: [records]."""
    numbers, last = np.unique(partitions[::-1], return_index=True)
    return dict(zip(numbers.tolist(), (offsets[::-1][last] + 1).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class FetchEvent:
    """What a consumer reports beside records: an error, or the end of a partition."""

    partition: int | None
    offset: int | None
    error: KafkaError


class Fetch(Protocol):
    """Takes records of one topic out of a consumer, whose callbacks are called within `read`."""

    def hold(self, partitions: Sequence[int]) -> None:
        """The consumer is assigned these partitions next."""
        ...

    def read(self, most: int, timeout_s: float) -> tuple[SourceBatch, list[FetchEvent]]:
        """Up to `most` records and events, waiting up to `timeout_s` for them."""
        ...

    def close(self) -> None:
        """Give everything back to the consumer, which is closed next. Nothing may be read after this."""
        ...


NewFetch = Callable[[Consumer, str], Fetch]
"""Makes the fetch of a topic from a consumer."""

"""Which records of a range are the last of their keys: one pass over the keys alone, in memory that grows with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import OffsetRange

Offsets = npt.NDArray[np.int64]


def latest_offsets(
    config: Mapping[str, Any], topic: str, spans: Mapping[int, OffsetRange], most: int
) -> dict[int, Offsets]:
    """[partition] The rising offsets of the records that are the last of their keys, and no tombstones.

    A range can be what is left of an export: the last record of a key in it is the last of all.

    Raises:
        StreamGap: retention deleted records of a range before they were read.
        KafkaFailed: an error is final, or nothing was read for a minute.
    """
    newest: dict[int, dict[bytes | None, int]] = {partition: {} for partition in spans}
    with BoundedReader(config, topic, spans) as reader:
        for records in reader.batches(most):
            for message, partition, offset in zip(
                records.messages, records.partitions.tolist(), records.offsets.tolist(), strict=True
            ):
                of_partition = newest[partition]
                if message.value() is None:
                    of_partition.pop(message.key(), None)
                else:
                    of_partition[message.key()] = offset
    return {partition: np.sort(np.fromiter(kept.values(), np.int64, len(kept))) for partition, kept in newest.items()}

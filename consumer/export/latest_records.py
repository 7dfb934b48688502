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
    newest: dict[int, dict[bytes, int]] = {partition: {} for partition in spans}
    with BoundedReader(config, topic, spans) as reader:
        for records in reader.columns(most):
            tombstones = frozenset(records.tombstones().tolist())
            columns = records.keys(), records.partitions.tolist(), records.offsets.tolist()
            for index, (key, partition, offset) in enumerate(zip(*columns, strict=True)):
                of_partition = newest[partition]
                if index in tombstones:
                    of_partition.pop(key, None)
                else:
                    of_partition[key] = offset
    return {partition: np.sort(np.fromiter(kept.values(), np.int64, len(kept))) for partition, kept in newest.items()}

"""Reads the closed minutes of some series from the rates topic: on demand, in bounded time, and nothing is kept.

Only the partitions of these series are read. A record's timestamp is when its minute was published, so a range begins
at the first record of its begin, and ends at the end of the topic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka.admin import OffsetSpec

from taskstream.consumer.history.key_partition import partition_of
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds

MOST_RECORDS: Final = 500_000
"""How many records of all series one question may read: about ten seconds of reading."""
_BATCH: Final = 10_000
_CALL_S: Final = 5.0
_NAMES: Final = ("subtask_name", "window_start", "width_s", "bytes", "replicatesize", "totalsize")


@dataclass(frozen=True, slots=True)
class RatePoint:
    """What was measured in one step. Times are microseconds since 1970."""

    begin_us: int
    end_us: int
    measured_s: float
    """How much of the step was measured, over all series."""
    bytes: int
    subtask_name: str
    """Of its newest minute, as the sizes are."""
    replicatesize: int
    totalsize: int


@dataclass(frozen=True, slots=True)
class RatesFound:
    """The points of a range, in the order of time; only steps in which something was measured."""

    points: list[RatePoint]
    is_whole: bool
    """Whether all of the range was read: older records than `MOST_RECORDS` are not."""
    records: int
    """How many records were read."""


class RateHistory:
    """Answers one question after the other. It blocks. `config` is librdkafka's."""

    def __init__(self, config: Mapping[str, Any], topic: str, ids: SchemaIds, most: int = MOST_RECORDS) -> None:
        self._config = config
        self._topic = topic
        self._reader = ColumnReader(ids, "RateWindow", frozenset(_NAMES))
        self._most = most

    def read(self, keys: Sequence[str], from_us: int, to_us: int, step_us: int) -> RatesFound:
        """The minutes of the series with these keys that begin in this range, added up in steps of `step_us`.

        Raises:
            KafkaFailed: Kafka did not answer.
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        wanted = {each.encode() for each in keys}
        spans, is_whole = self._spans(wanted, from_us // 1000)
        steps: dict[int, list[Any]] = {}
        count = 0
        with BoundedReader(self._config, self._topic, spans) as reader:
            for records in reader.batches(_BATCH):
                count += len(records.messages)
                values = [each.value() for each in records.messages if each.key() in wanted]
                if values:
                    self._add(steps, values, from_us, to_us, step_us)
        points = [RatePoint(begin, begin + step_us, *steps[begin][1:]) for begin in sorted(steps)]
        return RatesFound(points, is_whole, count)

    def _spans(self, keys: set[bytes], from_ms: int) -> tuple[dict[int, OffsetRange], bool]:
        cluster = Cluster(self._config, _CALL_S, _CALL_S)
        numbers = len(cluster.partitions(self._topic))
        partitions = sorted({partition_of(each, numbers) for each in keys})
        spec: OffsetSpec = OffsetSpec.for_timestamp(from_ms)
        begins = cluster.offsets(self._topic, partitions, spec)
        spans, is_whole = {}, True
        for number, extent in cluster.extents(self._topic, partitions).items():
            begin = extent.end if begins[number] < 0 else begins[number]
            least = extent.end - self._most // len(partitions)
            is_whole &= begin >= least
            spans[number] = OffsetRange(max(begin, least, extent.begin), extent.end)
        return spans, is_whole

    def _add(self, steps: dict[int, list[Any]], values: list[Any], from_us: int, to_us: int, step_us: int) -> None:
        batch = self._reader.read(values).batch
        columns = {name: batch.column(name) for name in _NAMES}
        columns["window_start"] = columns["window_start"].cast("int64")
        for row in zip(*(columns[name].to_pylist() for name in _NAMES), strict=True):
            subtask_name, begin_us, width_s, moved, done, total = row
            if not from_us <= begin_us < to_us:
                continue
            step = steps.setdefault(begin_us // step_us * step_us, [begin_us, 0.0, 0, subtask_name, done, total])
            step[1] += width_s
            step[2] += moved
            if begin_us >= step[0]:
                step[0], step[3:] = begin_us, [subtask_name, done, total]

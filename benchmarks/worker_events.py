"""Writes the input of the worker's benchmarks to the topics: reports of many series, or rows of the state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Producer

from benchmarks.fold import EVENTS, Reports
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.state_records import state_batch
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.column_codec import ColumnWriter
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

START_US = 4_000_000_000_000_000
"""Far in the future, so that no series counts as silent or expires."""
PROJECT = "0123456789abcdef0123456789abcdef"
TURN_US = 10_000_000
AT_ONCE = 1_000_000
"""Series whose rows are made together: they need 1.3 GB."""
SENT_AT_MS = 4_200_000_000_000
"""Kafka's timestamp of the reports: after their times of receipt, or the worker rejects them."""


class Reporter:
    """Encodes reports of `series` series, whose bytes grow with each report."""

    def __init__(self, series: int) -> None:
        self.series = series
        self.tasks = [f"{number:08x}-ff28-4869-b9e4-855fbe12{number % 10_000:04d}" for number in range(series)]
        self._writer = ColumnWriter(TableIds(), newest("ProgressReported"))
        self._sizes = np.zeros(series, np.int64)
        self._rng = np.random.default_rng(1)
        self._sent = 0

    def values(self, numbers: np.ndarray, received_at: np.ndarray) -> list[bytes]:
        """One report of each of these distinct series, [reports], received at these times, [reports] us since 1970."""
        count = numbers.shape[0]
        self._sizes[numbers] += self._rng.integers(0, 1 << 24, count)
        done = self._sizes[numbers]
        columns = {
            "event_id": [f"{self._sent + number:036d}" for number in range(count)],
            "project_id": [PROJECT] * count,
            "task_id": [self.tasks[number] for number in numbers],
            "received_at": received_at,
            "subtask_name": ["MIGRATE_LINUX_EVENTS"] * count,
            "progress": np.minimum(99, done >> 26).astype(np.int32),
            "replicatesize": done,
            "totalsize": np.full(count, 1 << 40),
            "process_trace": ["replicating /dev/vda1, block by block"] * count,
            "migrate_speed": self._rng.random(count) * 100,
        }
        self._sent += count
        arrays = [
            pa.array(columns[field.name]).cast(field.type) if field.name in columns else pa.nulls(count, field.type)
            for field in self._writer.schema
        ]
        return self._writer.write(pa.RecordBatch.from_arrays(arrays, schema=self._writer.schema))


def prepare(bootstrap: str, topics: Topics, events: int, series: int) -> None:
    """Write `events` reports of all series in turn; two reports of a series are ten seconds apart."""
    reporter, producer = Reporter(series), bulk_producer(bootstrap)
    numbers = np.arange(series)
    for turn in range(-(-events // series)):
        chosen = numbers[: events - turn * series]
        values = reporter.values(chosen, START_US + turn * TURN_US + chosen)
        for partition in range(topics.partitions):
            part = chosen[chosen % topics.partitions == partition].tolist()
            keys = [f"{PROJECT}/{reporter.tasks[each]}" for each in part]
            send(producer, topics.progress.name, partition, keys, [values[each] for each in part], SENT_AT_MS)
    assert producer.flush(300) == 0


def prepare_rows(bootstrap: str, topics: Topics, series: int, copies: Sequence[str] = ()) -> None:
    """Write one row of each of `series` series to the state topic, evenly over its partitions, and to all `copies`."""
    writer, producer = ColumnWriter(TableIds(), newest("SeriesState")), bulk_producer(bootstrap)
    for first in range(0, series, AT_ONCE):
        count = min(AT_ONCE, series - first)
        reports, table = Reports(count, seed=1 + first), SeriesTable()
        for begin in range(0, count, EVENTS):
            batch = reports.of(np.arange(begin, min(begin + EVENTS, count))).batch
            column = batch.schema.get_field_index("received_at")
            times = batch.column(column)
            later = pc.add(times.cast(pa.int64()), START_US // 2).cast(times.type)
            table.fold(batch.set_column(column, "received_at", later), np.zeros(batch.num_rows, np.int32))
            table.commit()
        for partition, block in enumerate(np.array_split(np.flatnonzero(table.rows["live"]), topics.partitions)):
            values = writer.write(state_batch(table, block))
            for topic in (topics.state.name, *copies):
                send(producer, topic, partition, table.keys[block].tolist(), values)
        assert producer.flush(300) == 0


def bulk_producer(bootstrap: str) -> Producer:
    """A producer with a large queue."""
    return Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": 2_000_000, "linger.ms": 50})


def send(
    producer: Producer, topic: str, partition: int, keys: Sequence[str], values: Sequence[bytes], timestamp_ms: int = 0
) -> None:
    """Queue the records, waiting while the producer's queue is full; a timestamp of 0 is the present."""
    for key, value in zip(keys, values, strict=True):
        while True:
            try:
                producer.produce(topic, value, key, partition, timestamp=timestamp_ms)
            except BufferError:
                producer.poll(0.05)
            else:
                break

"""The pairs of `check` that read a topic: arrays beside objects, and export and replay beside a loop over messages."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from confluent_kafka import Consumer, Message, TopicPartition

from benchmarks.check_pairs import alternating
from benchmarks.codec import read_one_by_one
from benchmarks.ratios import Ratio
from benchmarks.worker_events import prepare
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.consumer.export.resumable_export import Export
from taskstream.consumer.export.topic_batches import batches
from taskstream.consumer.kafka.bounded_reader import BoundedReader
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.direct.direct_fetch import DirectFetch
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.kafka.direct.source_batch import NewFetch
from taskstream.consumer.kafka.ranges import Earliest, Latest
from taskstream.consumer.records.event_decoder import EventDecoder
from taskstream.consumer.replay.refold import EventFold
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import plain
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

EVENTS, SERIES = 100_000, 10_000
GROUPS, ROUNDS = 3, 3
MOST = 10_000


def topic_ratios(kafka: LocalKafka) -> dict[str, Ratio]:
    """[pair]"""
    topics = Topics("check")
    create_topics(kafka.client.config(), topics, 1)
    prepare(kafka.bootstrap_servers, topics, EVENTS, SERIES)
    reading = Reading(kafka.client.config(), topics)
    with tempfile.TemporaryDirectory() as folder:
        return {
            "worker's reading and fold, arrays / objects": alternating(
                lambda: reading.fold(DirectFetch), lambda: reading.fold(MessageFetch), groups=GROUPS, rounds=ROUNDS
            ),
            "export to Parquet / fastavro loop": alternating(
                lambda: reading.export(Path(folder) / "all.parquet"), reading.loop, groups=GROUPS, rounds=ROUNDS
            ),
            "replay state / fastavro loop": alternating(reading.replay, reading.loop, groups=GROUPS, rounds=ROUNDS),
        }


class Reading:
    """The ways to read all events of a topic. Each call opens and closes a client."""

    def __init__(self, config: dict[str, Any], topics: Topics) -> None:
        self._config = config
        self._topics = topics
        self._topic = topics.progress.name
        self._parsed = fastavro.parse_schema(plain(newest("ProgressReported").definition))

    def fold(self, new_fetch: NewFetch) -> None:
        """Read, decode and fold as a worker does."""
        decoder, table, count = EventDecoder(TableIds()), SeriesTable(), 0
        with closing(self._consumer()) as consumer, closing(new_fetch(consumer, self._topic)) as fetch:
            fetch.hold(range(self._topics.partitions))
            self._assign(consumer)
            while count < EVENTS:
                batch, _ = fetch.read(MOST, 0.05)
                decoded = decoder.decode(batch.values, batch.timestamps_ms)
                table.fold(decoded.batch, np.ascontiguousarray(batch.partitions[decoded.kept]))
                table.commit()
                count += len(batch)

    def export(self, path: Path) -> None:
        """Write all columns to a file."""
        found = batches(self._config, prefix=self._topics.prefix)
        Export(path, {}, overwrite=True).run(lambda: found.spans, lambda _spans: found)

    def replay(self) -> None:
        """Fold the events as `replay state` does."""
        spans = Cluster(self._config).pinned(self._topic, Earliest(), Latest())
        refold = EventFold(TableIds(), Settings())
        with BoundedReader(self._config, self._topic, spans) as reader:
            for records in reader.columns(MOST):
                refold.fold(records)
                refold.table.commit()
        assert refold.events == EVENTS

    def loop(self) -> None:
        """Decode each message with fastavro, and keep the latest record of each series in a dict."""
        held: dict[Any, Any] = {}
        count = 0
        with closing(self._consumer()) as consumer:
            self._assign(consumer)
            while count < EVENTS:
                messages: list[Message] = consumer.consume(MOST, 0.05)
                values: list[Any] = [each.value() for each in messages]
                for record in read_one_by_one(self._parsed, values):
                    held[record["project_id"], record["task_id"], record["subtask_name"]] = record
                count += len(messages)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                **self._config,
                "group.id": "check",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 10,
            }
        )

    def _assign(self, consumer: Consumer) -> None:
        consumer.assign([TopicPartition(self._topic, each, 0) for each in range(self._topics.partitions)])

"""What the replay's tests share: a pipeline with events, folded by a real worker that then is stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.state.series_table import EVENT_COLUMNS, SeriesTable
from taskstream.consumer.state.state_records import state_batch
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import (
    IDS,
    SENT_AT_MS,
    Fleet,
    committed,
    newest_by_key,
    producer,
    read_all,
    table_of,
    worker,
)
from tests.waiting import LIMIT_S, wait_until


def fill(broker: KafkaClient, topics: Topics, count: int, seed: int = 1) -> Fleet:
    """So many events of a fleet of twenty."""
    fleet, sending = Fleet(20, seed), producer(broker.bootstrap_servers)
    more(broker, topics, fleet, count)
    assert sending.flush(LIMIT_S) == 0
    return fleet


def more(broker: KafkaClient, topics: Topics, fleet: Fleet, count: int) -> None:
    """So many more events of this fleet."""
    sending = producer(broker.bootstrap_servers)
    for _ in range(count):
        key, value = fleet.event()
        sending.produce(topics.progress.name, value, key, timestamp=SENT_AT_MS)
    assert sending.flush(LIMIT_S) == 0


def put(
    broker: KafkaClient, topic: str, key: str | bytes | None, value: bytes | None, partition: int, **rest: Any
) -> None:
    """One record as it stands."""
    sending = producer(broker.bootstrap_servers)
    sending.produce(topic, value, key, partition, **rest)
    assert sending.flush(LIMIT_S) == 0


def worked(broker: KafkaClient, topics: Topics, folder: Path, until: int) -> None:
    """A worker folds until so many offsets are committed, and is stopped in order."""
    with worker(broker.bootstrap_servers, topics, folder, named=False):
        wait_until(lambda: committed(broker.bootstrap_servers, topics) >= until)


def command(broker: KafkaClient, topics: Topics, *words: str) -> list[str]:
    """`taskstream replay` of this pipeline, as arguments."""
    verb, *rest = words
    return ["replay", verb, "--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix, *rest]


def replay(broker: KafkaClient, topics: Topics, *words: str) -> Result:
    """Run it in this process."""
    return CliRunner().invoke(cli, command(broker, topics, *words))


def answer(result: Result) -> Any:
    """What it printed with -o json."""
    return json.loads(result.stdout)


def published(broker: KafkaClient, topics: Topics) -> dict[str, dict[str, Any]]:
    """The rows on the state topic by key, read by plain clients."""
    values = newest_by_key(read_all(broker.bootstrap_servers, topics.state.name))
    table = table_of(values)
    return dict(zip(sorted(values), state_batch(table, table.find(sorted(values))).to_pylist(), strict=True))


def folded(broker: KafkaClient, topics: Topics, below: dict[int, int] | None = None) -> dict[str, dict[str, Any]]:
    """The rows that the events give by one fold outside of any command; `below`: only offsets before these."""
    events = read_all(broker.bootstrap_servers, topics.progress.name)
    if below is not None:
        events = [each for each in events if each.offset() < below[each.partition()]]
    table, reader = SeriesTable(), ColumnReader(IDS, "ProgressReported", EVENT_COLUMNS)
    for partition in sorted({each.partition() for each in events}):
        decoded = reader.read([each.value() for each in events if each.partition() == partition])
        table.fold(decoded.batch, np.full(decoded.batch.num_rows, partition, np.int32))
    keys = sorted(table.keys[table.rows["live"]])
    return dict(zip(keys, state_batch(table, table.find(keys)).to_pylist(), strict=True))

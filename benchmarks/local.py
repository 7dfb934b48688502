"""A local Kafka for one section, and topics, events and tokens that are prepared before the measurement."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from benchmarks.worker_events import prepare
from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.producer.callers.token_file import token_line
from taskstream.schemas.http.caller import Role
from taskstream.schemas.topics import Topics


@contextlib.contextmanager
def local_kafka() -> Iterator[LocalKafka]:
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalKafka(Path(folder) / "kafka", cache_dir=default_cache_dir(os.environ)) as kafka,
    ):
        accept_later_timestamps(kafka)
        yield kafka


def accept_later_timestamps(kafka: LocalKafka) -> None:
    """Let records have timestamps after the broker's clock, as those of `prepare` have."""
    admin = AdminClient(kafka.client.config())  # named: a client that is garbage collected does not answer
    entry = ConfigEntry(
        "log.message.timestamp.after.max.ms", str(2**63 - 1), incremental_operation=AlterConfigOpType.SET
    )
    for number in admin.list_topics(timeout=30).brokers:
        resource = ConfigResource(ConfigResource.Type.BROKER, str(number), incremental_configs=[entry])
        for answer in admin.incremental_alter_configs([resource]).values():
            answer.result(30)


@contextlib.contextmanager
def prepared(events: int, series: int) -> Iterator[tuple[str, ...]]:
    """The command-line options for a topic with `events` reports of `series` series."""
    with local_kafka() as kafka:
        topics = Topics("bench")
        create_topics(kafka.client.config(), topics, 1)
        prepare(kafka.bootstrap_servers, topics, events, series)
        print(f"{events:,} events over {series:,} series, {topics.partitions} partitions", flush=True)
        yield "--bootstrap-servers", kafka.bootstrap_servers, "--prefix", topics.prefix


def token_file(folder: Path, token: str) -> Path:
    """A token file that gives this token the role report."""
    path = folder / "tokens"
    path.touch(0o600)
    path.write_text(token_line(token, "p", [Role.REPORT]) + "\n")
    return path

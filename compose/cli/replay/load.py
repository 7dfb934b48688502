"""`taskstream replay load`: write the records of a file to a topic."""

from __future__ import annotations

import time
from pathlib import Path

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.output.formats import parquet_output_option
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.replay.record_copying import (
    by_key_option,
    copy_records,
    execute_option,
    print_partitions,
    print_totals,
    rate_option,
    rules_of_target,
)
from taskstream.compose.cli.stop_signals import INTERRUPTED, exit_when_interrupted
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.replay.archive import ArchiveReader
from taskstream.consumer.replay.record_copy import ArchivePart, batch_for
from taskstream.consumer.replay.topic_target import TopicTarget, refuse_expired, refuse_other_partition_count


@click.command
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@kafka_options
@click.option(
    "--to-topic", metavar="TOPIC", help="The full name of the target topic.  [default: the topic that was copied]"
)
@click.option("--skip", default=0, type=click.IntRange(min=0), help="Skip this number of records.")
@click.option("--expired", is_flag=True, help="Write records too that are older than the topic keeps records.")
@by_key_option
@rate_option
@parquet_output_option
@execute_option
def load(
    *,
    path: Path,
    kafka: KafkaClient,
    to_topic: str | None,
    skip: int,
    expired: bool,
    by_key: bool,
    rate: float | None,
    output: str,
    execute: bool,
) -> None:
    """Write the records of a file made by `replay copy --to-file` to a topic, unchanged.

    Loading a file twice writes every record twice. Records that are older than the topic's retention.ms are refused:
    Kafka would acknowledge and then delete them. Exit codes: 0 all records are written, 1 failed, 2 wrong usage,
    130 stopped.
    """
    with exit_when_interrupted("records written to the topic stay there"), ArchiveReader(path) as archive:
        origin = archive.origin()
        name = to_topic or origin.topic
        partitions = len(Cluster(kafka.config()).partitions(name))
        if not by_key:
            refuse_other_partition_count(origin.partitions, name, partitions)
        rules = rules_of_target(kafka, name)
        if rules.retention_ms is not None and not expired:
            limit_ms = round(time.time() * 1000) - rules.retention_ms
            left = max(0, archive.records - skip)
            refuse_expired(archive.older_than(limit_ms, skip), left, name, rules.retention_ms)
        part = ArchivePart(archive, skip, batch_for(rate))
        target = TopicTarget(kafka.config(), name, by_key=by_key) if execute else None
        complete, counts = copy_records(target, part, archive.records, rate)
    print_partitions(origin.spans, counts, output)
    print_totals(counts, f"{path} to {name}", execute=execute)
    if not complete:
        echo(f"stopped; continue with --skip {part.moved}", err=True)
        click.get_current_context().exit(INTERRUPTED)

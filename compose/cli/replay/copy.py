"""`taskstream replay copy`: copy the records of a topic to another topic, another cluster or a file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.offset_bound import BOUND, late_option
from taskstream.compose.cli.options.topic_options import prefix_option
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
    warn_of_expired,
)
from taskstream.compose.cli.stop_signals import INTERRUPTED, exit_when_interrupted
from taskstream.compose.errors import KafkaPropertyError
from taskstream.compose.kafka_client import KafkaClient, kafka_client, read_properties
from taskstream.compose.remedies import message_of
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.ranges import Bound
from taskstream.consumer.replay.archive import ArchiveWriter, Origin
from taskstream.consumer.replay.record_copy import Target, TopicPart, batch_for
from taskstream.consumer.replay.topic_target import TopicTarget, refuse_itself, refuse_other_partition_count
from taskstream.schemas.topics import Topic, Topics

INCOMPLETE = 3
"""The exit code when a part of the range is no longer on the topic."""


@click.command
@kafka_options
@prefix_option
@click.option("--topic", "noun", default="progress", help="progress, state, rates, signals or rejected.")
@click.option("--from", "start", default="earliest", type=BOUND, metavar="BOUND", help="Start of the range.")
@click.option("--to", "end", default="latest", type=BOUND, metavar="BOUND", help="End of the range, exclusive.")
@late_option
@click.option("--project", "project_id", help="Only records of this project.")
@click.option("--task", "task_id", help="Only records of this task.")
@click.option("--to-topic", metavar="TOPIC", help="The full name of the target topic.")
@click.option(
    "--to-bootstrap",
    metavar="HOST:PORT[,...]",
    help="The brokers of the target cluster; there the topic has the same name unless --to-topic is given.",
)
@click.option(
    "--to-config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A file of librdkafka settings for the target cluster, one key=value per line.",
)
@click.option("--to-file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file when the copy is complete.")
@by_key_option
@rate_option
@parquet_output_option
@execute_option
def copy(
    *,
    kafka: KafkaClient,
    prefix: str,
    noun: str,
    start: Bound,
    end: Bound,
    late: timedelta,
    project_id: str | None,
    task_id: str | None,
    to_topic: str | None,
    to_bootstrap: str | None,
    to_config: Path | None,
    to_file: Path | None,
    overwrite: bool,
    by_key: bool,
    rate: float | None,
    output: str,
    execute: bool,
) -> None:
    """Copy records unchanged: key, value, headers and timestamp, with the order of each partition.

    A range between times holds the records with these timestamps, also where timestamps do not rise within a partition.
    The values are not decoded: unreadable records are copied too. A target topic with retention by time soon deletes
    records with old timestamps. A copy that is stopped prints where it stopped; records that are on the target topic
    stay there, but an incomplete file is deleted. Exit codes: 0 the whole range is copied, 1 failed, 2 wrong usage,
    3 a part of the range is no longer on the topic, 130 stopped.
    """
    if (to_file is None) == (to_topic is None and to_bootstrap is None):
        raise click.UsageError("give one target: --to-topic, --to-bootstrap (or both), or --to-file")
    if to_config is not None and to_bootstrap is None:
        raise click.UsageError("--to-config requires --to-bootstrap")
    topic = _topic_named(Topics(prefix), noun)
    target_kafka = _target_cluster(to_bootstrap, to_config) if to_bootstrap else kafka
    with exit_when_interrupted("records copied to a topic stay there; no file was left"):
        spans = Cluster(kafka.config()).pinned(topic.name, start, end, late)
        partitions = len(Cluster(kafka.config()).partitions(topic.name))
        rules = None
        if to_file is not None:
            origin = Origin(topic.name, partitions, spans)
            target: AbstractContextManager[Target] = ArchiveWriter(to_file, origin, overwrite=overwrite)
        else:
            name = to_topic or topic.name
            refuse_itself(kafka.config(), topic.name, target_kafka.config(), name)
            target_partitions = len(Cluster(target_kafka.config()).partitions(name))
            if not by_key:
                refuse_other_partition_count(partitions, name, target_partitions)
            rules = rules_of_target(target_kafka, name)
            target = TopicTarget(target_kafka.config(), name, by_key=by_key)
        selection = KeySelection(project_id, task_id, of_series=topic.key.endswith("/subtask_name"))
        part = TopicPart(kafka.config(), topic.name, spans, selection, batch_for(rate))
        total = sum(span.end - span.begin for span in spans.values())
        complete, counts = copy_records(target if execute else None, part, total, rate)
    gone = sum(span.gone for span in spans.values())
    print_partitions(spans, counts, output)
    print_totals(counts, f"{topic.name} to {to_file or to_topic or to_bootstrap}", execute=execute)
    if rules is not None:
        warn_of_expired(counts, to_topic or topic.name, rules, round(time.time() * 1000))
    if gone:
        echo(f"{gone:,} offsets of the range are no longer on the topic", err=True)
    if not complete:
        _print_rest(topic.name, spans, part.positions)
        click.get_current_context().exit(INTERRUPTED)
    if gone:
        click.get_current_context().exit(INCOMPLETE)


def _topic_named(topics: Topics, name: str) -> Topic:
    """The topic of this short or full name; all but the probe topic can be copied."""
    known = {each.name.removeprefix(f"{topics.prefix}."): each for each in topics.all if each != topics.probe}
    if name.removeprefix(f"{topics.prefix}.") not in known:
        raise click.UsageError(f"--topic {name!r} is not a topic of the pipeline: give {', '.join(known)}")
    return known[name.removeprefix(f"{topics.prefix}.")]


def _target_cluster(bootstrap_servers: str, properties: Path | None) -> KafkaClient:
    try:
        return kafka_client(bootstrap_servers, read_properties(properties) if properties else {})
    except KafkaPropertyError as error:
        raise click.UsageError(message_of(error)) from error


def _print_rest(topic: str, spans: Mapping[int, OffsetRange], positions: Mapping[int, int]) -> None:
    echo("stopped; continue with --from @FILE, where FILE has these lines:", err=True)
    if any(span.from_ms is not None for span in spans.values()):
        echo("(records of the rest with timestamps before --from are then copied too)", err=True)
    for number, span in sorted(spans.items()):
        if positions[number] < span.end:
            echo(f"{topic},{number},{positions[number]}", err=True)

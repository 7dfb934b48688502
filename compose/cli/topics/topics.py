"""`taskstream topics`: the topics as declared, beside what a cluster has."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import click

from taskstream.compose.cli.options.kafka_options import kafka_options, optional_kafka_options
from taskstream.compose.cli.options.topic_options import replication_option, topics_options
from taskstream.compose.cli.output.rows import output_option, print_rows
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import CLUSTER_DEFAULT, create_topics, found_topics
from taskstream.schemas.topics import DAY_MS, Difference, Topic, Topics, differences


@click.group
def topics() -> None:
    """The topics: list, create, check.

    One pipeline has five: PREFIX.progress holds every acknowledged report, PREFIX.state the newest state of every
    series (compacted), PREFIX.rates the closed minutes, PREFIX.signals what somebody may want to act on,
    PREFIX.rejected what could not be read.
    """


@topics.command("list")
@topics_options
@optional_kafka_options
@output_option
def list_topics(topics: Topics, kafka: KafkaClient, output: str) -> None:
    """List the topics as declared; with --bootstrap-servers also what the cluster has of them."""
    rows = [_declared(topic) for topic in topics.all]
    found = found_topics(kafka.config(), topics) if kafka.bootstrap_servers else None
    for row, topic in zip(rows, topics.all, strict=True):
        if found is not None:
            row["found_partitions"] = found[topic.name].partitions if topic.name in found else None
        if output == "json":
            row["config"] = dict(topic.config)
    print_rows(rows, output)


@topics.command
@topics_options
@replication_option
@kafka_options
@output_option
def create(topics: Topics, replication_factor: int | None, kafka: KafkaClient, output: str) -> None:
    """Create the topics that are missing; those that exist stay as they are.

    Exit code 1 when one that exists must not be used as it is.
    """
    created = create_topics(kafka.config(), topics, replication_factor or CLUSTER_DEFAULT)
    found = found_topics(kafka.config(), topics)
    print_rows([_declared(topic) | {"created": topic.name in created} for topic in topics.all], output)
    _end(differences(topics, found))


@topics.command
@topics_options
@kafka_options
@output_option
def check(topics: Topics, kafka: KafkaClient, output: str) -> None:
    """Tell what differs between the topics as declared and as the cluster has them, and what to do about it.

    Exit code 1 when the pipeline must not run on them: one is missing or wrongly compacted, or progress and state
    have different partition counts. Other differences are told and do no harm.
    """
    differ = differences(topics, found_topics(kafka.config(), topics))
    if output == "json":
        print_rows([dataclasses.asdict(each) for each in differ], output)
    elif not differ:
        click.echo(f"the topics of {topics.prefix} are as declared")
    _end(differ, told=output == "json")


def _end(differ: Sequence[Difference], *, told: bool = False) -> None:
    """Tell the differences on the error stream, unless they are told already; leave with 1 when one is fatal."""
    if not told:
        for each in differ:
            click.echo(f"{'wrong' if each.fatal else 'note'}: {each.topic} {each.what}: {each.remedy}", err=True)
    if any(each.fatal for each in differ):
        click.get_current_context().exit(1)


def _declared(topic: Topic) -> dict[str, object]:
    retention_ms = topic.config.get("retention.ms")
    return {
        "topic": topic.name,
        "key": topic.key,
        "value": topic.value or "bytes",
        "partitions": topic.partitions,
        "kept": "last of each key" if retention_ms is None else f"{int(retention_ms) / DAY_MS:g} days",
    }

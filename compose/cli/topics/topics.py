"""`taskstream topics`: create the topics, compare them with their declaration, and print the rights on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import click

from taskstream.compose.cli.options.kafka_options import kafka_options, optional_kafka_options
from taskstream.compose.cli.options.topic_options import (
    min_insync_option,
    prefix_option,
    replication_option,
    topics_options,
)
from taskstream.compose.cli.output.formats import output_option, print_rows
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.kafka_acls import acl_commands, kafka_users
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.remedies import difference_remedy
from taskstream.compose.topic_admin import CLUSTER_DEFAULT, create_topics, found_topics, live_brokers
from taskstream.schemas.access import PARTS
from taskstream.schemas.durability import durability
from taskstream.schemas.topics import DAY_MS, Difference, Topic, Topics, differences


@click.group
def topics() -> None:
    """The topics: list, create, check; the rights on them.

    A pipeline has five topics: PREFIX.progress holds the acknowledged reports, PREFIX.state the latest state of each
    series (compacted), PREFIX.rates the rate windows, PREFIX.signals the changes of health, and PREFIX.rejected the
    records that could not be read. `doctor` and the edge use a sixth, PREFIX.probe.
    """


@topics.command("list")
@topics_options
@optional_kafka_options
@output_option
def list_topics(topics: Topics, kafka: KafkaClient, output: str) -> None:
    """List the topics as declared; with --bootstrap-servers, also their partitions on the cluster."""
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
@min_insync_option
@kafka_options
@output_option
def create(
    topics: Topics, replication_factor: int | None, min_insync_replicas: int | None, kafka: KafkaClient, output: str
) -> None:
    """Create the topics that are missing. Topics that exist are not changed.

    Exit codes: 0 done, 1 an existing topic must not be used as it is or the command failed, 2 wrong usage.
    """
    replicas = replication_factor or CLUSTER_DEFAULT
    created = create_topics(kafka.config(), topics, replicas, min_insync_replicas=min_insync_replicas)
    found = found_topics(kafka.config(), topics)
    print_rows([_declared(topic) | {"created": topic.name in created} for topic in topics.all], output)
    _exit_if_fatal(differences(topics, found))


@topics.command
@topics_options
@kafka_options
@output_option
def check(topics: Topics, kafka: KafkaClient, output: str) -> None:
    """Compare the topics on the cluster with their declaration, and print how to correct the differences.

    It also notes where the loss of one broker would lose acknowledged reports or stop the pipeline.

    Exit codes: 0 the pipeline can run on the topics, 1 it cannot (a topic is missing or has the wrong cleanup policy,
    progress and state have different numbers of partitions, or too few replicas are in sync), 2 wrong usage.
    """
    found = found_topics(kafka.config(), topics)
    differ = [*differences(topics, found), *durability(topics, found, live_brokers(kafka.config()))]
    if output == "json":
        print_rows([_difference_row(each) for each in differ], output)
    elif not differ:
        echo(f"the topics of {topics.prefix} are as declared")
    _exit_if_fatal(differ, printed=output == "json")


@topics.command
@prefix_option
@click.option("--group", show_default="PREFIX.worker", help="The workers' consumer group.")
@click.option("--part", "parts", type=click.Choice([*PARTS]), multiple=True, help="Only this part; may be repeated.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["commands", "strimzi", "json"]),
    default="commands",
    help="kafka-acls commands, KafkaUser resources of the Strimzi operator, or JSON.",
)
def acls(prefix: str, group: str | None, parts: tuple[str, ...], output: str) -> None:
    """Print the rights that each part needs on a cluster with an authorizer, and no more.

    The user of a part is called PREFIX-PART. Rights that are marked optional let a part check more. It asks no cluster.
    """
    wanted = {
        part: PARTS[part](Topics(prefix), group or f"{prefix}.worker") for part in PARTS if not parts or part in parts
    }
    if output == "commands":
        echo("\n".join(acl_commands(prefix, wanted)))
    elif output == "strimzi":
        echo(kafka_users(prefix, wanted), nl=False)
    else:
        rows = [{"part": part, **dataclasses.asdict(each)} for part, grants in wanted.items() for each in grants]
        print_rows(rows, output)


def _exit_if_fatal(differ: Sequence[Difference], *, printed: bool = False) -> None:
    """Print the differences on standard error unless they are printed already; exit with 1 if one is fatal."""
    if not printed:
        for each in differ:
            echo(f"{'wrong' if each.fatal else 'note'}: {each.topic} {each.what}: {difference_remedy(each)}", err=True)
    if any(each.fatal for each in differ):
        click.get_current_context().exit(1)


def _difference_row(difference: Difference) -> dict[str, object]:
    remedy = difference_remedy(difference)
    return {"topic": difference.topic, "what": difference.what, "remedy": remedy, "fatal": difference.fatal}


def _declared(topic: Topic) -> dict[str, object]:
    retention_ms = topic.config.get("retention.ms")
    return {
        "topic": topic.name,
        "key": topic.key,
        "value": topic.value or "bytes",
        "partitions": topic.partitions,
        "kept": "last of each key" if retention_ms is None else f"{int(retention_ms) / DAY_MS:g} days",
    }

"""`taskstream tail`: its options made into a range and a choice, each record told as it comes."""

from __future__ import annotations

import contextlib
import time

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.stopping import stopped_by_signals
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.errors import BadRange
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.ranges import Latest, bound_of
from taskstream.consumer.state.series import Signal
from taskstream.consumer.tail.decoded_record import RecordDecoder
from taskstream.consumer.tail.record_filter import RecordFilter
from taskstream.consumer.tail.record_lines import json_line, line
from taskstream.consumer.tail.topic_tail import TopicTail
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topic, Topics

_TOPICS = ("progress", "state", "rates", "signals", "rejected")


@click.command()
@click.argument("noun", metavar="[TOPIC]", type=click.Choice(_TOPICS), default="progress")
@click.option("--from", "start", metavar="BOUND", default="latest", help="Where to begin.")
@click.option("--to", "end", metavar="BOUND", help="Where to end; that record is not shown.  [default: go on]")
@click.option("--count", type=click.IntRange(1), help="End after so many.")
@click.option("--project", help="Only of this project.")
@click.option("--task", help="Only of this task.")
@click.option("--subtask", help="Only of this subtask.")
@click.option(
    "--signal",
    "signals",
    multiple=True,
    type=click.Choice([each.name for each in Signal], case_sensitive=False),
    help="Only this kind of signal, as often as needed.",
)
@click.option(
    "-o", "--output", type=click.Choice(["line", "ndjson"]), default="line", help="For people, or for programs."
)
@kafka_options
@schema_ids_option
@prefix_option
def tail(
    *,
    noun: str,
    start: str,
    end: str | None,
    count: int | None,
    project: str | None,
    task: str | None,
    subtask: str | None,
    signals: tuple[str, ...],
    output: str,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
) -> None:
    """Show the records of TOPIC as they come: progress (the default), state, rates, signals or rejected.

    \b
    taskstream tail signals --signal NO_PROGRESS --signal SILENT
    taskstream tail state --from earliest --to latest -o ndjson

    A BOUND is a time (2026-11-23T08:00, UTC unless it says otherwise), a duration back from now (PT15M), earliest,
    latest, or @FILE of lines TOPIC,PARTITION,OFFSET. Records of one partition come in their order. What cannot be read
    is shown as such, so is a tombstone. Ctrl-C ends it.
    """  # noqa: D301 (click takes a lone backspace for: keep these lines)
    topic = {each.name.removeprefix(f"{prefix}."): each for each in Topics(prefix).all}[noun]
    wanted = RecordFilter(project, task, subtask, frozenset(each.upper() for each in signals) or None)
    _check(topic, wanted)
    try:
        now_ms = round(time.time() * 1000)
        bounds = bound_of(start, now_ms), Latest() if end is None else bound_of(end, now_ms)
        spans = Cluster(kafka.config()).pinned(topic.name, *bounds)
        following = TopicTail(kafka.config(), topic.name, spans, to_the_end=end is not None)
        if end is None:
            click.echo(f"following {topic.name}, {len(spans)} partitions; Ctrl-C ends it", err=True)
        _show(following, RecordDecoder(topic, ids), wanted, count, output)
    except BadRange as error:
        raise click.UsageError(str(error)) from error


def _show(following: TopicTail, taker: RecordDecoder, wanted: RecordFilter, count: int | None, output: str) -> None:
    told = json_line if output == "ndjson" else line
    left = -1 if count is None else count
    problem = ""
    with stopped_by_signals() as stop, contextlib.closing(following.batches()) as batches:
        for messages in batches:
            if following.problem != problem:
                problem = following.problem
                click.echo(f"Kafka: {problem or 'it is back'}", err=True)
            for seen in map(taker.take, messages):
                if stop.is_set() or left == 0:
                    break
                if wanted.takes(seen):
                    click.echo(told(seen))
                    left -= 1
            if stop.is_set() or left == 0:
                return


def _check(topic: Topic, wanted: RecordFilter) -> None:
    """A choice that no record of the topic could ever meet is wrong usage."""
    if wanted.signals and topic.value != "SignalRaised":
        raise click.UsageError(f"--signal chooses among signals, and {topic.name} holds none")
    if wanted.subtask_name and topic.value is None:
        raise click.UsageError(f"--subtask: the keys of {topic.name} name no subtask")

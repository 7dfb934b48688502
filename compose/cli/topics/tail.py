"""`taskstream tail`: the records of a topic, decoded and filtered, as they arrive."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.offset_bound import late_option
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.stop_signals import stop_event
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
@click.option("--from", "start", metavar="BOUND", default="latest", help="Start of the range.")
@click.option("--to", "end", metavar="BOUND", help="End of the range, exclusive.  [default: follow the topic]")
@late_option
@click.option("--count", type=click.IntRange(1), help="Stop after this number of records.")
@click.option("--project", help="Only records of this project.")
@click.option("--task", help="Only records of this task.")
@click.option("--subtask", help="Only records of this subtask.")
@click.option(
    "--signal",
    "signals",
    multiple=True,
    type=click.Choice([each.name for each in Signal], case_sensitive=False),
    help="Only this kind of signal. May be repeated.",
)
@click.option("-o", "--output", type=click.Choice(["line", "ndjson"]), default="line", help="The output format.")
@kafka_options
@schema_ids_option
@prefix_option
def tail(
    *,
    noun: str,
    start: str,
    end: str | None,
    late: timedelta,
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
    """Print the records of TOPIC as they arrive: progress (the default), state, rates, signals or rejected.

    \b
    taskstream tail signals --signal NO_PROGRESS --signal SILENT
    taskstream tail state --from earliest --to latest -o ndjson

    A BOUND is a time (2026-11-23T08:00, in UTC unless it has an offset), a duration before now (15m), earliest,
    latest, or @FILE with lines TOPIC,PARTITION,OFFSET. With --to, a range between times holds the records with these
    timestamps; without it, all records from the first one of that time on. The records of one partition are printed in
    order. Unreadable records and tombstones are printed as such. Ctrl-C stops the command.
    """  # noqa: D301 (a lone backspace makes click keep the lines that follow)
    topic = {each.name.removeprefix(f"{prefix}."): each for each in Topics(prefix).all}[noun]
    wanted = RecordFilter(project, task, subtask, frozenset(each.upper() for each in signals) or None)
    _check(topic, wanted)
    try:
        now_ms = round(time.time() * 1000)
        bounds = bound_of(start, now_ms), Latest() if end is None else bound_of(end, now_ms)
        spans = Cluster(kafka.config()).pinned(topic.name, *bounds, None if end is None else late)
        records = TopicTail(kafka.config(), topic.name, spans, to_the_end=end is not None)
        if end is None:
            echo(f"following {topic.name}, {len(spans)} partitions; Ctrl-C stops it", err=True)
        _print_records(records, RecordDecoder(topic, ids), wanted, count, output)
    except BadRange as error:
        raise click.UsageError(str(error)) from error


def _print_records(
    tail: TopicTail, decoder: RecordDecoder, wanted: RecordFilter, count: int | None, output: str
) -> None:
    format_record = json_line if output == "ndjson" else line
    left = -1 if count is None else count
    problem = ""
    with stop_event() as stop, contextlib.closing(tail.batches()) as batches:
        for messages in batches:
            if tail.problem != problem:
                problem = tail.problem
                echo(f"Kafka: {problem or 'available again'}", err=True)
            for seen in map(decoder.decode, messages):
                if stop.is_set() or left == 0:
                    break
                if wanted.matches(seen):
                    echo(format_record(seen))
                    left -= 1
            if stop.is_set() or left == 0:
                return


def _check(topic: Topic, wanted: RecordFilter) -> None:
    """Raise UsageError for a filter that no record of the topic can match."""
    if wanted.signals and topic.value != "SignalRaised":
        raise click.UsageError(f"--signal requires the topic signals, not {topic.name}")
    if wanted.subtask_name and topic.value is None:
        raise click.UsageError(f"--subtask: the keys of {topic.name} contain no subtask")

"""`taskstream replay copy` and `load`: records carried to another topic, another cluster or a file, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from taskstream.compose.cli.options.fold_options import BOUND, INTERRUPTED, interruptible, meter, wish_to_stop
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.answer import output_option, print_json, write_parquet
from taskstream.compose.cli.output.rows import print_rows
from taskstream.compose.errors import KafkaPropertyError
from taskstream.compose.kafka_client import KafkaClient, kafka_client, read_properties
from taskstream.consumer.kafka.cluster import Cluster, OffsetRange
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.ranges import Bound
from taskstream.consumer.replay.archive import ArchiveReader, ArchiveWriter, Origin
from taskstream.consumer.replay.record_copy import (
    ArchivePart,
    NoTarget,
    PartitionCounts,
    RecordCopy,
    Target,
    TopicPart,
    batch_for,
)
from taskstream.consumer.replay.topic_target import TopicTarget, refuse_itself, refuse_other_homes, stamps_itself
from taskstream.schemas.topics import Topic, Topics

INCOMPLETE = 3
_rate_option = click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most so many records a second."
)
_by_key_option = click.option(
    "--by-key", is_flag=True, help="Each record where its key belongs; else its partition's number is kept."
)
_execute_option = click.option("--execute", is_flag=True, help="Do it; else it is only told what would be done.")


@click.command
@kafka_options
@prefix_option
@click.option("--topic", "noun", default="progress", help="progress, state, rates, signals or rejected.")
@click.option("--from", "start", default="earliest", type=BOUND, metavar="BOUND", help="Where the range begins.")
@click.option("--to", "end", default="latest", type=BOUND, metavar="BOUND", help="Where it ends; not in it.")
@click.option("--project", "project_id", help="Only this project.")
@click.option("--task", "task_id", help="Only this task.")
@click.option("--to-topic", metavar="TOPIC", help="Write to this topic, by its whole name.")
@click.option("--to-bootstrap", metavar="HOST:PORT[,...]", help="Of another cluster; there the topic's name is kept.")
@click.option(
    "--to-config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings of librdkafka for that cluster, key=value a line.",
)
@click.option("--to-file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write a file.")
@click.option("--overwrite", is_flag=True, help="Replace the file, once the new one is whole.")
@_by_key_option
@_rate_option
@output_option
@_execute_option
def copy(
    *,
    kafka: KafkaClient,
    prefix: str,
    noun: str,
    start: Bound,
    end: Bound,
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
    """Copy records as they are: keys, values, headers and timestamps, each partition in its order.

    Nothing is decoded: a broken record is copied like any other. A topic with a retention by time drops old
    timestamps soon. A copy that is stopped tells where it was; what was copied stays there, but for a file, which is
    whole or not there. Exit codes: 0 all of it, 1 failed, 2 wrong usage, 3 part of the range is gone, 130 stopped.
    """
    if (to_file is None) == (to_topic is None and to_bootstrap is None):
        raise click.UsageError("give one place to copy to: --to-topic, --to-bootstrap (or both), or --to-file")
    if to_config is not None and to_bootstrap is None:
        raise click.UsageError("--to-config belongs to --to-bootstrap")
    topic = _topic_of(Topics(prefix), noun)
    there = _other(to_bootstrap, to_config) if to_bootstrap else kafka
    with interruptible("what was copied to a topic stays there; no file was left"):
        spans = Cluster(kafka.config()).pinned(topic.name, start, end)
        homes = len(Cluster(kafka.config()).partitions(topic.name))
        if to_file is not None:
            origin = Origin(topic.name, homes, spans)
            target: AbstractContextManager[Target] = ArchiveWriter(to_file, origin, overwrite=overwrite)
        else:
            name = to_topic or topic.name
            refuse_itself(kafka.config(), topic.name, there.config(), name)
            homes_there = len(Cluster(there.config()).partitions(name))
            if not by_key:
                refuse_other_homes(homes, name, homes_there)
            _warn_of_stamps(there, name)
            target = TopicTarget(there.config(), name, by_key=by_key)
        selection = KeySelection(project_id, task_id, of_series=topic.key.endswith("/subtask_name"))
        part = TopicPart(kafka.config(), topic.name, spans, selection, batch_for(rate))
        total = sum(span.end - span.begin for span in spans.values())
        whole, done = _carried(target if execute else None, part, total, rate)
    gone = sum(span.gone for span in spans.values())
    _print([_row(number, span, done.get(number)) for number, span in sorted(spans.items())], output)
    _tell(done, f"{topic.name} to {to_file or to_topic or to_bootstrap}", execute=execute)
    if gone:
        click.echo(f"{gone:,} offsets of the range are no longer on the topic", err=True)
    if not whole:
        _tell_rest(topic.name, spans, part.positions)
        click.get_current_context().exit(INTERRUPTED)
    if gone:
        click.get_current_context().exit(INCOMPLETE)


@click.command
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@kafka_options
@click.option("--to-topic", metavar="TOPIC", help="By its whole name.  [default: the one they were copied from]")
@click.option("--skip", default=0, type=click.IntRange(min=0), help="Leave out so many of the first records.")
@_by_key_option
@_rate_option
@output_option
@_execute_option
def load(
    *,
    path: Path,
    kafka: KafkaClient,
    to_topic: str | None,
    skip: int,
    by_key: bool,
    rate: float | None,
    output: str,
    execute: bool,
) -> None:
    """Write the records of a file that `replay copy` made to a topic, as they were.

    Loading twice gives every record twice. Exit codes: 0 all of it, 1 failed, 2 wrong usage, 130 stopped.
    """
    with interruptible("what was written stays on the topic"), ArchiveReader(path) as archive:
        origin = archive.origin()
        name = to_topic or origin.topic
        homes_there = len(Cluster(kafka.config()).partitions(name))
        if not by_key:
            refuse_other_homes(origin.partitions, name, homes_there)
        _warn_of_stamps(kafka, name)
        part = ArchivePart(archive, skip, batch_for(rate))
        target = TopicTarget(kafka.config(), name, by_key=by_key) if execute else None
        whole, done = _carried(target, part, archive.records, rate)
    _print([_row(number, span, done.get(number)) for number, span in sorted(origin.spans.items())], output)
    _tell(done, f"{path} to {name}", execute=execute)
    if not whole:
        click.echo(f"stopped; the rest is --skip {part.moved}", err=True)
        click.get_current_context().exit(INTERRUPTED)


def _carried(
    target: AbstractContextManager[Target] | None, part: TopicPart | ArchivePart, total: int, rate: float | None
) -> tuple[bool, Mapping[int, PartitionCounts]]:
    """Whether it was all, and the account by partition. No target: a dry run, which does not wait."""
    with contextlib.ExitStack() as opened:
        stopping = opened.enter_context(wish_to_stop())
        to: Target = opened.enter_context(target) if target else NoTarget()
        carrier = RecordCopy(to, rate if target else None)
        moved = opened.enter_context(meter("copying" if target else "counting", total))
        told = 0

        def tell() -> None:
            nonlocal told
            moved(part.moved - told)
            told = part.moved

        whole = carrier.carry(part, stopping, tell)
        if not whole and isinstance(target, ArchiveWriter):
            raise KeyboardInterrupt  # half of what was asked for is not kept under its name
    return whole, carrier.tallies


def _topic_of(topics: Topics, noun: str) -> Topic:
    """Any topic of the pipeline that somebody reads."""
    known = {each.name.removeprefix(f"{topics.prefix}."): each for each in topics.all if each != topics.probe}
    if noun.removeprefix(f"{topics.prefix}.") not in known:
        raise click.UsageError(f"--topic {noun!r} is none of the pipeline's: give {', '.join(known)}")
    return known[noun.removeprefix(f"{topics.prefix}.")]


def _other(bootstrap: str, properties: Path | None) -> KafkaClient:
    try:
        return kafka_client(bootstrap, read_properties(properties) if properties else {})
    except KafkaPropertyError as error:
        raise click.UsageError(str(error)) from error


def _warn_of_stamps(kafka: KafkaClient, topic: str) -> None:
    if stamps_itself(kafka.config(), topic):
        click.echo(
            f"{topic} stamps records itself (message.timestamp.type=LogAppendTime): their timestamps will not be as "
            "they were",
            err=True,
        )


def _row(number: int, span: OffsetRange, done: PartitionCounts | None) -> dict[str, Any]:
    done = done or PartitionCounts()
    return {
        "partition": number,
        "from": span.begin,
        "to": span.end,
        "records": done.records,
        "bytes": done.bytes,
        "first": _time(done.first_ms),
        "last": _time(done.last_ms),
    }


def _time(moment_ms: int | None) -> str | None:
    return (
        None if moment_ms is None else datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")
    )


def _print(rows: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        print_json(rows)
    elif output == "parquet":
        write_parquet(pa.Table.from_pylist(rows, schema=_ROWS))
    else:
        print_rows(rows, output)


def _tell(done: Mapping[int, PartitionCounts], way: str, *, execute: bool) -> None:
    count, size = sum(each.records for each in done.values()), sum(each.bytes for each in done.values())
    click.echo(f"{count:,} records, {size:,} bytes, {way}", err=True)
    if not execute:
        click.echo("dry run, nothing was written: --execute copies them", err=True)


def _tell_rest(topic: str, spans: Mapping[int, OffsetRange], positions: Mapping[int, int]) -> None:
    click.echo("stopped; the rest is --from @FILE, with these lines in it:", err=True)
    for number, span in sorted(spans.items()):
        if positions[number] < span.end:
            click.echo(f"{topic},{number},{positions[number]}", err=True)


_ROWS = pa.schema(
    [
        ("partition", pa.int32()),
        *((name, pa.int64()) for name in ("from", "to", "records", "bytes")),
        ("first", pa.string()),
        ("last", pa.string()),
    ]
)

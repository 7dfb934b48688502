"""`taskstream lake`: follows topics into Parquet files by day and project."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

import click

from taskstream.compose.cli.command_clock import command_clock
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.logs import log_to_standard_error, show_threads_on_signal
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.stop_signals import stop_event
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.remedies import message_of
from taskstream.consumer.errors import BadRange
from taskstream.consumer.export.topic_batches import batch_schema
from taskstream.consumer.kafka.ranges import bound_of
from taskstream.consumer.lake.day_and_project import TIME_COLUMNS
from taskstream.consumer.lake.iceberg_lake import IcebergLake, LakeTable
from taskstream.consumer.lake.iceberg_place import iceberg_place
from taskstream.consumer.lake.lake_commit import LakeCommit
from taskstream.consumer.lake.lake_follower import PIECE_ROWS, LakeFollower, LakeOutput, LakeSettings
from taskstream.consumer.lake.lake_store import LakeStore, filesystem_of
from taskstream.consumer.lake.lake_writer import LakeWriter
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.ids import SchemaIds, TableIds
from taskstream.schemas.topics import Topic, Topics

INCOMPLETE = 3
_TOPICS = ("progress", "rates", "signals")


@click.command()
@click.option(
    "--to",
    "place",
    required=True,
    metavar="PLACE",
    help="A folder, or s3://BUCKET/PATH; ?endpoint_override=HOST:PORT&scheme=http names another object store than AWS.",
)
@click.option("--iceberg", is_flag=True, help="Write Apache Iceberg tables, one per topic, in place of plain files.")
@click.option(
    "--catalog",
    metavar="URI",
    help="The catalogue of the Iceberg tables: an SQL database, or http(s)://... of a REST catalogue.  "
    "[default: sqlite:///PLACE/catalog.db]",
)
@click.option(
    "--topic",
    "nouns",
    multiple=True,
    type=click.Choice(_TOPICS),
    help="Only this topic. May be repeated.  [default: all three]",
)
@click.option(
    "--from",
    "start",
    default="earliest",
    metavar="BOUND",
    help="Where a new lake begins: a time, a duration before now, earliest or latest.",
)
@click.option("--once", is_flag=True, help="End where the topics end now, instead of following them.")
@click.option(
    "--every", "pause_s", default=60.0, type=Seconds(0.1), help="The time between two commits of new records."
)
@click.option(
    "--piece-rows",
    default=PIECE_ROWS,
    type=click.IntRange(1),
    help="Records of one commit: a lake that is far behind is filled in pieces.",
)
@click.option("--skip-gone", is_flag=True, help="Go on after records that retention removed before the lake had them.")
@kafka_options
@schema_ids_option
@prefix_option
def lake(
    *,
    place: str,
    iceberg: bool,
    catalog: str | None,
    nouns: tuple[str, ...],
    start: str,
    once: bool,
    pause_s: float,
    piece_rows: int,
    skip_gone: bool,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
) -> None:
    """Follow reports, rates and signals into Parquet files, each record once.

    \b
    taskstream lake --to /srv/lake
    taskstream lake --to s3://bucket/lake --every 5m
    taskstream lake --to /srv/tables --iceberg --every 5m

    The files are PLACE/TOPIC/day=DAY/project=PROJECT/part-*.parquet, where TOPIC is progress, rates or signals. Their
    offsets are kept beside them: after a kill, the same command goes on where the last commit ended. Small files are
    merged. One process at a time may write a lake. With --iceberg, each topic is a table of its name in the catalogue,
    whose snapshots have the offsets. See docs/lake.md.

    Exit codes: 0 stopped, 1 failed, 2 wrong usage, 3 (with --once) the lake is complete, but records could not be read.
    """  # noqa: D301 (a lone backspace makes click keep the lines that follow)
    topics = Topics(prefix)
    by_noun = {"progress": topics.progress, "rates": topics.rates, "signals": topics.signals}
    try:
        settings = LakeSettings(
            [by_noun[each] for each in dict.fromkeys(nouns or _TOPICS)],
            bound_of(start, command_clock().now_us() // 1000),
            pause_s,
            piece_rows,
            skip_gone,
        )
    except BadRange as error:
        raise click.UsageError(message_of(error)) from error
    if catalog and not iceberg:
        raise click.UsageError("--catalog is of Iceberg tables: give --iceberg, too")
    if iceberg and not catalog and "://" in place:
        raise click.UsageError("an object store cannot have the catalogue of Iceberg tables: give --catalog URI")
    log_to_standard_error()
    show_threads_on_signal()
    with stop_event() as stop, _opened(place, iceberg, catalog, settings.topics) as output:
        follower = LakeFollower(kafka.config(), ids, output, settings, prefix)
        if once:
            follower.round(stop.is_set)
        else:
            follower.follow(stop.is_set, stop.wait)
        _print_result(output.current, place)
    if once and any(output.current.unreadable.values()):
        sys.exit(INCOMPLETE)


@contextlib.contextmanager
def _opened(place: str, iceberg: bool, catalog: str | None, topics: Sequence[Topic]) -> Iterator[LakeOutput]:
    if iceberg:
        with IcebergLake(iceberg_place(place, catalog), _tables(topics)) as tables:
            yield tables
    else:
        with LakeStore(*filesystem_of(place)) as store:
            yield LakeWriter(store)


def _tables(topics: Sequence[Topic]) -> dict[str, LakeTable]:
    records = {each.name: str(each.value) for each in topics}
    return {
        topic: LakeTable(batch_schema(ColumnReader(TableIds(), record).schema, record), TIME_COLUMNS[record])
        for topic, record in records.items()
    }


def _print_result(commit: LakeCommit, place: str) -> None:
    rows = ", ".join(f"{count:,} of {topic}" for topic, count in commit.rows.items()) or "nothing"
    unreadable = sum(commit.unreadable.values())
    echo(f"{place}: {rows}" + (f"; {unreadable:,} could not be read" if unreadable else ""), err=True)

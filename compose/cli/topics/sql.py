"""`taskstream sql`: a query over reports, state, rates and signals, of the topics or of a lake."""

from __future__ import annotations

import io
import math
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import click

from taskstream.compose.cli.command_clock import command_clock
from taskstream.compose.cli.options.kafka_options import optional_kafka_options
from taskstream.compose.cli.options.offset_bound import late_option
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import print_json, print_rows, write_parquet
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.errors import NoBrokersNamed
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.remedies import message_of
from taskstream.consumer.errors import BadQuery, BadRange
from taskstream.consumer.export.file_formats import Csv
from taskstream.consumer.export.topic_batches import TopicBatches
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest, bound_of
from taskstream.consumer.lake.lake_reader import lake_reader
from taskstream.consumer.lake.lake_store import filesystem_of
from taskstream.consumer.sql.sql_session import SqlSession
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topic, Topics

if TYPE_CHECKING:
    import pyarrow as pa

_FOLDERS = {"reports": "progress", "rates": "rates", "signals": "signals"}


@click.command()
@click.argument("query")
@click.option(
    "--from", "start", default="1d", metavar="BOUND", help="Start of the range of reports, rates and signals."
)
@click.option("--to", "end", default="latest", metavar="BOUND", help="End of the range, exclusive.")
@late_option
@click.option(
    "--lake",
    "place",
    metavar="PLACE",
    help="Read reports, rates and signals from a lake that `taskstream lake` writes, and not from the topics.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "csv", "parquet"]),
    default="table",
    help="The output format.",
)
@optional_kafka_options
@schema_ids_option
@prefix_option
def sql(
    *,
    query: str,
    start: str,
    end: str,
    late: timedelta,
    place: str | None,
    output: str,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
) -> None:
    """Run a SQL query over the views reports, state, rates and signals.

    \b
    taskstream sql "select project_id, count(*) from reports group by all"
    taskstream sql "select task_id, rate_slow_bps / 1e6 as mbytes_per_s from state order by 2 limit 10"
    taskstream sql --from 2d --to 1d -o csv "select * from signals where signal = 'SILENT'" > silent.csv

    Reports, rates and signals are those of a range, by default the last 24 hours; state has the newest record of each
    subtask, whatever its age. Columns are those of `taskstream schemas show`, times are in UTC; "offset" needs its
    quotes. A BOUND is a time (2026-11-23T08:00), a duration before now (2d), earliest or latest. The query is
    DuckDB's SQL; ten questions with their queries are in docs/questions.md. With --lake, the range selects by the
    record's own time: of receipt, of a window's start, of the raising of a signal.
    """  # noqa: D301 (a lone backspace makes click keep the lines that follow)
    topics = Topics(prefix)
    now_ms = command_clock().now_us() // 1000
    try:
        bounds = bound_of(start, now_ms), bound_of(end, now_ms)
    except BadRange as error:
        raise click.UsageError(message_of(error)) from error
    found = {"reports": topics.progress, "rates": topics.rates, "signals": topics.signals}
    views = {name: partial(_topic, kafka, ids, each, *bounds, late) for name, each in found.items()}
    if place is not None:
        files = filesystem_of(place)
        views = {name: partial(lake_reader, *files, _FOLDERS[name], str(found[name].value), *bounds) for name in found}
    views["state"] = partial(_state, kafka, ids, topics.state)
    told = {name: "newest of each subtask" if name == "state" else f"from {start} to {end}" for name in views}
    with SqlSession(views, lambda name, rows: echo(f"{name}: {rows:,} rows, {told[name]}", err=True)) as session:
        try:
            table = session.run(query)
        except BadQuery as error:
            raise click.UsageError(message_of(error)) from error
    _print(table, output)


def _topic(
    kafka: KafkaClient, ids: SchemaIds, topic: Topic, start: Bound, end: Bound, late: timedelta
) -> pa.RecordBatchReader:
    config = _config(kafka)
    return TopicBatches(config, topic, ids, Cluster(config).pinned(topic.name, start, end, late)).reader()


def _state(kafka: KafkaClient, ids: SchemaIds, topic: Topic) -> pa.RecordBatchReader:
    config = _config(kafka)
    spans = Cluster(config).pinned(topic.name, Earliest(), Latest())
    return TopicBatches(config, topic, ids, spans, latest=True).reader()


def _config(kafka: KafkaClient) -> dict[str, str]:
    """Raises NoBrokersNamed: a view of a topic needs a broker; a lake alone needs none."""
    if not kafka.bootstrap_servers:
        raise NoBrokersNamed("this query needs Kafka brokers, and none are named (a lake has no state)")
    return dict(kafka.config())


def _print(table: pa.Table, output: str) -> None:
    if output == "parquet":
        write_parquet(table)
    elif output == "csv":
        text = io.BytesIO()
        Csv().write(text, table, first=True)
        if sys.stdout.isatty():
            echo(text.getvalue().decode(), nl=False)
        else:
            sys.stdout.buffer.write(text.getvalue())
            sys.stdout.buffer.flush()
    else:
        rows = [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]
        if output == "json":
            print_json(rows)
        else:
            print_rows([{name: _shown(value) for name, value in row.items()} for row in rows], output)


def _plain(value: object) -> object:
    """A value that JSON has: DuckDB's sums are decimals."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds").replace("+00:00", "Z")
    return f"{value:,.2f}" if isinstance(value, float) else value

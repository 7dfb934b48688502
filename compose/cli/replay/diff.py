"""`taskstream replay diff`: compare the published state with the fold of the events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from taskstream.compose.cli.options.fold_options import fold_options, keep_option
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.offset_bound import BOUND
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import parquet_output_option
from taskstream.compose.cli.output.progress_bar import progress_bar
from taskstream.compose.cli.replay.comparison_output import (
    comparison_of,
    differences_of,
    group_option,
    limit_option,
    partition_summary,
    print_comparison,
    print_totals,
)
from taskstream.compose.cli.stop_signals import exit_when_interrupted
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.consumer_groups import ConsumerGroup
from taskstream.consumer.kafka.ranges import Bound, Latest
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.worker.topic_check import check_topics
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@click.command
@kafka_options
@schema_ids_option
@prefix_option
@group_option
@click.option("--from", "start", default="earliest", type=BOUND, metavar="BOUND", help="Start of the events to fold.")
@fold_options
@keep_option
@parquet_output_option
@limit_option
@click.option("--strict", is_flag=True, help="Exit with 1 also if series could not be compared.")
def diff(
    *,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    group_name: str | None,
    start: Bound,
    fold: Settings,
    keep_s: float,
    output: str,
    limit: int,
    strict: bool,
) -> None:
    """Compare the published state with the fold of the events up to the workers' committed offsets.

    What depends on a clock is not compared: silence is used as published, and series that can have expired (--keep)
    are counted but not compared. The same applies to series that began before the first event that is still on the
    topic, and to series that workers change during the comparison. Exit codes: 0 nothing differs, 1 something differs
    or the command failed, 2 wrong usage.

    \b
    The columns of the first table, one row per partition (the same names in -o json):
      EVENTS FROM   the offset of the first report that was folded
      OFFSET        the offset up to which state and fold are compared
      COMPLETE      yes: the fold began with the topic's first report
      OFFSET MOVED  yes: workers committed meanwhile; series that changed were compared again until they did not
      EVENTS        reports that were folded; UNREADABLE could not be, by reason
      SAME, DIFFER  series whose state is equal to the fold, or not
      MISSING       series of the fold that the state does not have; SURPLUS the other way round
      NOT COMPARED  series that cannot be compared, by reason
    The second table has a row per column that differs: its value in the state and in the fold.
    """  # noqa: D301 (a lone backspace makes click keep the lines that follow)
    topics = Topics(prefix)
    summaries: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    with (
        exit_when_interrupted("nothing was written"),
        ConsumerGroup(kafka.config(), group_name or f"{prefix}.worker") as group,
    ):
        fold = replace(fold, partitions=check_topics(kafka.config(), topics))
        spans = Cluster(kafka.config()).pinned(topics.progress.name, start, Latest())
        with progress_bar("folding", sum(each.end - each.begin for each in spans.values())) as advance:
            comparison = comparison_of(kafka, topics, ids, fold, keep_s, advance)
            for partition, span in sorted(spans.items()):
                compared = comparison.compare_running(partition, span.begin, group)
                summaries.append(partition_summary(compared))
                found += differences_of(compared, limit - len(found) if output == "table" else None)
    print_comparison(summaries, found, output, limit)
    print_totals(summaries)
    if found or (strict and any(each["not_compared"] for each in summaries)):
        click.get_current_context().exit(1)

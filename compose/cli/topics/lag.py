"""`taskstream lag`: the lag of consumer groups, as rows and as an exit code."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import output_option, print_rows
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.consumer_groups import GroupLags, PartitionLag
from taskstream.schemas.topics import Topics


@click.command()
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME",
    help="A consumer group. May be repeated.  [default: PREFIX.worker]",
)
@click.option("--all-groups", is_flag=True, help="Every group that has offsets of one of the topics.")
@click.option("--max-records", type=click.IntRange(0), help="Exit with 1 if the lag of a partition exceeds this.")
@click.option("--max-seconds", type=Seconds(), help="Exit with 1 if the lag of a partition exceeds this.")
@kafka_options
@prefix_option
@output_option
def lag(
    *,
    groups: tuple[str, ...],
    all_groups: bool,
    max_records: int | None,
    max_seconds: float | None,
    kafka: KafkaClient,
    prefix: str,
    output: str,
) -> None:
    """Print the lag of consumer groups in records and seconds, per partition.

    SECONDS is the age of the first record that is not yet read. A partition without a committed offset is counted
    from its first record. GONE is the number of offsets that retention removed before they were read.

    Exit codes: 0 within the limits, 1 beyond a limit or Kafka does not respond, 2 wrong usage.
    """
    if groups and all_groups:
        raise click.UsageError("give either --group or --all-groups")
    topics = Topics(prefix)
    found = _found(GroupLags(kafka.config()), topics, groups or (f"{prefix}.worker",), all_groups=all_groups)
    now_ms = round(time.time() * 1000)
    print_rows([_row(each, now_ms) for each in found], output)
    beyond = [_beyond(each, now_ms, max_records, max_seconds) for each in found]
    for words in filter(None, beyond):
        echo(words, err=True)
    if any(beyond):
        click.get_current_context().exit(1)


def _found(lags: GroupLags, topics: Topics, names: Sequence[str], *, all_groups: bool) -> list[PartitionLag]:
    ours = {topic.name for topic in topics.all}
    found = []
    for name in lags.names() if all_groups else names:
        read = sorted(ours & lags.committed(name).keys())
        if not all_groups and topics.progress.name not in read:
            read = [topics.progress.name, *read]
        found += lags.lag(name, read) if read else []
    return found


def _row(each: PartitionLag, now_ms: int) -> dict[str, object]:
    return {
        "group": each.group,
        "topic": each.topic,
        "partition": each.partition,
        "committed": each.committed,
        "end": each.end,
        "records": each.records,
        "seconds": round(each.seconds(now_ms), 1),
        "gone": each.gone,
        "member": each.member,
    }


def _beyond(each: PartitionLag, now_ms: int, max_records: int | None, max_seconds: float | None) -> str:
    where = f"{each.group} on {each.topic}-{each.partition}"
    if max_records is not None and each.records > max_records:
        return f"{where} is {each.records:,} records behind, beyond {max_records:,}"
    if max_seconds is not None and each.seconds(now_ms) > max_seconds:
        return f"{where} is {each.seconds(now_ms):,.1f} s behind, beyond {max_seconds:g} s"
    return ""

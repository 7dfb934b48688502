"""`taskstream rejected redrive`: write rejected records back to the partition that they came from."""

from __future__ import annotations

import contextlib
import signal

import click

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.offset_bound import BOUND
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import output_option, print_json, print_rows
from taskstream.compose.cli.output.progress_bar import progress_bar
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.rejected.partition_offset import PARTITION_OFFSET
from taskstream.compose.cli.stop_signals import INTERRUPTED, exit_when_interrupted, stop_event
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.cluster import Cluster
from taskstream.consumer.kafka.key_selection import KeySelection
from taskstream.consumer.kafka.ranges import Bound
from taskstream.consumer.rejects.redrive import RedriveCounts, redrive
from taskstream.consumer.rejects.redrive_choice import RedriveChoice
from taskstream.consumer.rejects.redrive_transaction import RedriveTransaction
from taskstream.consumer.rejects.rejects_reader import RejectsReader
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics


@click.command("redrive")
@click.argument("places", metavar="[PARTITION:OFFSET]...", nargs=-1, type=PARTITION_OFFSET)
@kafka_options
@schema_ids_option
@prefix_option
@click.option(
    "--from",
    "start",
    default="earliest",
    type=BOUND,
    metavar="BOUND",
    help="Start of the range, by the time of rejection.",
)
@click.option("--to", "end", default="latest", type=BOUND, metavar="BOUND", help="End of the range, exclusive.")
@click.option("--reason", "reasons", multiple=True, help="Only records with this reason. May be repeated.")
@click.option("--project", "project_id", help="Only records of this project.")
@click.option("--task", "task_id", help="Only records of this task.")
@click.option(
    "--max-drives",
    default=3,
    type=click.IntRange(min=1),
    help="Keep records that were redriven this often and rejected again each time.",
)
@click.option(
    "--unreadable-too",
    is_flag=True,
    help="Also redrive records that this version cannot read, for workers of a newer version. Older workers stop when "
    "too many records are unreadable.",
)
@output_option
@click.option(
    "--execute", is_flag=True, help="Write the records. Without this option, the command only reports what it would do."
)
def redrive_rejected(
    *,
    places: tuple[tuple[int, int], ...],
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    start: Bound,
    end: Bound,
    reasons: tuple[str, ...],
    project_id: str | None,
    task_id: str | None,
    max_drives: int,
    unreadable_too: bool,
    output: str,
    execute: bool,
) -> None:
    """Write rejected records back to the topic and partition that they came from: the named ones, or all waiting ones.

    Key, value, timestamp and headers are unchanged, and the header taskstream_drives counts the redrives. The same
    transaction notes on the rejected topic which records are redriven: if the command is stopped or killed, running
    it again redrives no record twice. Redriven records of one key keep their order, but come after the records of
    the key that were folded meanwhile.
    """
    topics = Topics(prefix)
    named = frozenset(f"{partition}:{offset}" for partition, offset in places)
    with contextlib.ExitStack() as opened:
        opened.enter_context(exit_when_interrupted("redriven records are noted; run the command again for the rest"))
        partitions = len(Cluster(kafka.config()).partitions(topics.progress.name))
        choice = RedriveChoice(
            topics.progress.name,
            partitions,
            max_drives,
            unreadable_too,
            frozenset(reasons),
            named,
            KeySelection(project_id, task_id),
        )
        rejects = RejectsReader(kafka.config(), topics, ids)
        spans = rejects.ranges(start, end)
        # opened before the notes are read, because it aborts the open transaction of another run
        drive = opened.enter_context(RedriveTransaction(kafka.config(), topics)) if execute else None
        driven = rejects.redriven_offsets()
        stop = opened.enter_context(stop_event(signal.SIGINT))
        advance = opened.enter_context(
            progress_bar("redriving" if execute else "reading", sum(span.end - span.begin for span in spans.values()))
        )
        whole, counts = redrive(rejects.judged(spans, driven), choice, drive, stop.is_set, advance)
    _print_counts(counts, output, execute=execute)
    if not whole:
        echo("stopped: redriven records are noted; run the command again for the rest", err=True)
        click.get_current_context().exit(INTERRUPTED)
    if absent := named - counts.locations:
        raise click.ClickException(f"no rejected record is at {', '.join(sorted(absent))}")


def _print_counts(counts: RedriveCounts, output: str, *, execute: bool) -> None:
    if output == "json":
        print_json({"driven" if execute else "to_drive": counts.redriven} | {"kept": dict(counts.kept)})
    else:
        rows: list[dict[str, object]] = [{"what": "redriven" if execute else "to redrive", "records": counts.redriven}]
        rows += [{"what": str(why), "records": count} for why, count in sorted(counts.kept.items())]
        print_rows(rows, output)
    if not execute:
        echo("dry run, nothing was written: --execute redrives them", err=True)

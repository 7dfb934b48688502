"""`taskstream rejected redrive`: records that can be read by now go back to where they came from."""

from __future__ import annotations

import contextlib

import click

from taskstream.compose.cli.options.fold_options import BOUND, INTERRUPTED, interruptible, meter, wish_to_stop
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.answer import print_json
from taskstream.compose.cli.output.rows import output_option, print_rows
from taskstream.compose.cli.rejected.show import PLACE
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
@click.argument("places", metavar="[PARTITION:OFFSET]...", nargs=-1, type=PLACE)
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--from", "start", default="earliest", type=BOUND, metavar="BOUND", help="Rejected since then.")
@click.option("--to", "end", default="latest", type=BOUND, metavar="BOUND", help="And before then.")
@click.option("--reason", "reasons", multiple=True, help="Only this reason, as often as needed.")
@click.option("--project", "project_id", help="Only this project.")
@click.option("--task", "task_id", help="Only this task.")
@click.option(
    "--max-drives",
    default=3,
    type=click.IntRange(min=1),
    help="What was driven so often and came back every time stays.",
)
@click.option(
    "--unreadable-too",
    is_flag=True,
    help="Also what cannot be read here: for workers that are newer than this. Others stop when it is much.",
)
@output_option
@click.option("--execute", is_flag=True, help="Do it; else it is only told.")
def redrive_rejects(
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
    """Send rejected records back to the topic and partition that they came from, those named or all that wait.

    Key, value, timestamp and headers are as they were, and taskstream_drives counts how often. What is driven is noted
    on the rejected topic in the same transaction: stopped or killed at any moment, running it again drives nothing
    twice. A key's records keep their order among each other; its other records have long been folded.
    """
    topics = Topics(prefix)
    named = frozenset(f"{partition}:{offset}" for partition, offset in places)
    with contextlib.ExitStack() as opened:
        opened.enter_context(interruptible("what was driven is noted; run it again to do the rest"))
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
        spans = rejects.spans(start, end)
        # opened before the notes are read: what another run has open is ended by it, and can be noted no more
        drive = opened.enter_context(RedriveTransaction(kafka.config(), topics)) if execute else None
        driven = rejects.driven()
        stopping = opened.enter_context(wish_to_stop())
        moved = opened.enter_context(
            meter("driving" if execute else "reading", sum(span.end - span.begin for span in spans.values()))
        )
        whole, account = redrive(rejects.judged(spans, driven), choice, drive, stopping, moved)
    _answer(account, output, execute=execute)
    if not whole:
        click.echo("stopped: what was driven is noted; run it again to do the rest", err=True)
        click.get_current_context().exit(INTERRUPTED)
    if absent := named - account.places:
        raise click.ClickException(f"no record of what was asked for is at {', '.join(sorted(absent))}")


def _answer(account: RedriveCounts, output: str, *, execute: bool) -> None:
    if output == "json":
        print_json({"driven" if execute else "to_drive": account.driven} | {"kept": dict(account.kept)})
    else:
        rows: list[dict[str, object]] = [
            {"what": "driven back" if execute else "to drive back", "records": account.driven}
        ]
        rows += [{"what": str(why), "records": count} for why, count in sorted(account.kept.items())]
        print_rows(rows, output)
    if not execute:
        click.echo("dry run, nothing was written: --execute drives them", err=True)

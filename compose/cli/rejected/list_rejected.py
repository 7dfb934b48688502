"""`taskstream rejected list`: what could not be read, by reason, or one by one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click
import pyarrow as pa

from taskstream.compose.cli.options.fold_options import BOUND, interruptible, meter
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.answer import first_of, output_option, print_json, write_parquet
from taskstream.compose.cli.output.rows import print_rows
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.ranges import Bound
from taskstream.consumer.rejects.rejects_reader import JudgedReject, RejectsReader
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_LONGEST_KEY = 60


@click.command("list")
@kafka_options
@schema_ids_option
@prefix_option
@click.option("--from", "start", default="earliest", type=BOUND, metavar="BOUND", help="Rejected since then.")
@click.option("--to", "end", default="latest", type=BOUND, metavar="BOUND", help="And before then.")
@click.option("--reason", "reasons", multiple=True, help="Only this reason, as often as needed.")
@click.option("--each", is_flag=True, help="One line a record.")
@output_option
@click.option("--limit", default=100, type=click.IntRange(min=1), help="Lines of the table.")
def list_rejects(
    *,
    kafka: KafkaClient,
    ids: SchemaIds,
    prefix: str,
    start: Bound,
    end: Bound,
    reasons: tuple[str, ...],
    each: bool,
    output: str,
    limit: int,
) -> None:
    """Count what could not be read by reason, with the first and the last time; or list it one by one.

    READABLE NOW: so many of the waiting ones can be read by the codec as it is here. A range's ends are a time, a
    duration back from now (PT15M), earliest, latest, or @FILE of lines TOPIC,PARTITION,OFFSET.
    """
    with interruptible("nothing was written"):
        rejects = RejectsReader(kafka.config(), Topics(prefix), ids)
        spans = rejects.spans(start, end)
        driven = rejects.driven()
        with meter("reading", sum(span.end - span.begin for span in spans.values())) as moved:
            found: dict[str, dict[str, Any]] = {}
            lines: list[dict[str, Any]] = []
            for batch in rejects.judged(spans, driven):
                wanted = [judged for judged in batch if not reasons or judged.reject.reason in reasons]
                if each:
                    lines += [_line(judged) for judged in wanted]
                else:
                    _count(wanted, found)
                moved(len(batch))
    rows = lines if each else sorted(found.values(), key=lambda row: (-int(row["records"]), str(row["reason"])))
    if output == "json":
        print_json(rows)
    elif output == "parquet":
        write_parquet(pa.Table.from_pylist(rows, schema=_LINES if each else _GROUPS))
    else:
        print_rows([_shown(row) for row in first_of(rows, limit)], output)
        if not rows:
            click.echo("nothing is rejected", err=True)


def _count(batch: Iterable[JudgedReject], found: dict[str, dict[str, Any]]) -> None:
    for judged in batch:
        reject, at = judged.reject, _time(judged)
        row = found.setdefault(
            reject.reason,
            {"reason": reject.reason, "records": 0, "driven": 0, "waiting": 0, "readable_now": 0}
            | {"first": at, "last": at, "example": reject.place, "detail": reject.detail},
        )
        row["records"] += 1
        row["driven"] += judged.driven
        row["waiting"] += not judged.driven
        row["readable_now"] += judged.readable and not judged.driven
        row["first"], row["last"] = min(row["first"], at), max(row["last"], at)


def _line(judged: JudgedReject) -> dict[str, Any]:
    reject = judged.reject
    return {
        "place": reject.place,
        "rejected": _time(judged),
        "reason": reject.reason,
        "key": (reject.record.key or b"").decode("utf-8", "replace")[:_LONGEST_KEY],
        "bytes": len(reject.record.value or b""),
        "origin": f"{reject.topic or '?'} {_known(reject.partition)}:{_known(reject.offset)}",
        "drives": reject.drives,
        "driven": judged.driven,
        "readable_now": judged.readable,
        "detail": reject.detail,
    }


def _known(number: int | None) -> str:
    return "?" if number is None else str(number)


def _time(judged: JudgedReject) -> str:
    moment = datetime.fromtimestamp((judged.reject.record.timestamp_ms or 0) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds")


def _shown(row: Any) -> dict[str, Any]:
    """Without control characters: the bytes of a stranger must not move the cursor."""
    return {
        name: "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value)
        if isinstance(value, str)
        else value
        for name, value in row.items()
    }


_GROUPS = pa.schema(
    [
        ("reason", pa.string()),
        *((name, pa.int64()) for name in ("records", "driven", "waiting", "readable_now")),
        *((name, pa.string()) for name in ("first", "last", "example", "detail")),
    ]
)
_LINES = pa.schema(
    [
        *((name, pa.string()) for name in ("place", "rejected", "reason", "key")),
        ("bytes", pa.int64()),
        ("origin", pa.string()),
        ("drives", pa.int64()),
        ("driven", pa.bool_()),
        ("readable_now", pa.bool_()),
        ("detail", pa.string()),
    ]
)

"""`taskstream rejected show`: one record that could not be read, to the last byte, and what the codec makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from taskstream.compose.cli.options.fold_options import interruptible
from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_option import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.answer import print_json
from taskstream.compose.cli.output.rows import output_option
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.carried_record import CarriedRecord
from taskstream.consumer.rejects.rejected_record import driven_by, is_note, ranges_of, reject_of, shown_headers
from taskstream.consumer.rejects.rejects_reader import RejectsReader
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.errors import Undecodable
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import Topics

_LINE = 16


class _PlaceParam(click.ParamType[tuple[int, int]]):
    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        partition, colon, offset = str(value).partition(":")
        if not (colon and partition.isascii() and partition.isdecimal() and offset.isascii() and offset.isdecimal()):
            self.fail(f"{value!r} is not PARTITION:OFFSET, such as 3:17", param, ctx)
        return int(partition), int(offset)


PLACE = _PlaceParam()


@click.command
@click.argument("place", metavar="PARTITION:OFFSET", type=PLACE)
@kafka_options
@schema_ids_option
@prefix_option
@output_option
@click.option("--bytes", "most", default=4096, type=click.IntRange(min=1), help="Bytes of the value in the dump.")
def show(*, place: tuple[int, int], kafka: KafkaClient, ids: SchemaIds, prefix: str, output: str, most: int) -> None:
    """Show one rejected record: where it came from, why it is here, its bytes, and what the codec makes of it now."""
    with interruptible("nothing was written"):
        rejects = RejectsReader(kafka.config(), Topics(prefix), ids)
        record = rejects.one(*place)
        told = _note(record) if is_note(record) else _told(record, ids, rejects.driven().get(place[0], set()))
    if output == "json":
        print_json(told | {"value": None if record.value is None else record.value.hex()})
        return
    for name, value in told.items():
        if name != "headers":
            click.echo(f"{name.replace('_', ' '):<12} {_printable(_shown(value))}")
    for each in told["headers"]:
        click.echo(f"{'header':<12} {_printable(str(each['name']))}: {_printable(str(each['value']))}")
    for line in dump((record.value or b"")[:most]):
        click.echo(line)
    if len(record.value or b"") > most:
        click.echo(f"{len(record.value or b'') - most:,} bytes more: see them with --bytes", err=True)


def dump(value: bytes) -> Iterator[str]:
    """Bytes as people read them: offset, sixteen in hex, and the same as text."""
    for begin in range(0, len(value), _LINE):
        part = value[begin : begin + _LINE]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"{begin:08x}  {part[:8].hex(' '):<23}  {part[8:].hex(' '):<23}  |{text}|"


def _told(record: CarriedRecord, ids: SchemaIds, driven: set[int]) -> dict[str, Any]:
    reject = reject_of(record)
    return {
        "place": reject.place,
        "rejected": _time(record.timestamp_ms),
        "reason": reject.reason,
        "detail": reject.detail,
        "topic": reject.topic,
        "partition": reject.partition,
        "offset": reject.offset,
        "received": _time(reject.timestamp_ms),
        "drives": reject.drives,
        "driven": record.offset in driven,
        "key": None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
        "bytes": None if record.value is None else len(record.value),
        **_now(record.value, ids),
        "headers": shown_headers(record.headers),
    }


def _now(value: bytes | None, ids: SchemaIds) -> dict[str, Any]:
    """What the codec, as it is here, makes of these bytes."""
    try:
        return {"readable_now": True, "now": RecordReader(ids, "ProgressReported").read(value)}
    except Undecodable as error:
        return {"readable_now": False, "now": str(error)}


def _note(record: CarriedRecord) -> dict[str, Any]:
    return {
        "place": f"{record.partition}:{record.offset}",
        "note": f"driven back at {_time(record.timestamp_ms)}",
        "offsets": ranges_of(driven_by(record)),
        "headers": shown_headers(record.headers),
    }


def _time(moment_ms: int | None) -> str | None:
    if moment_ms is None:
        return None
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    """The bytes of a stranger must not move the cursor."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)

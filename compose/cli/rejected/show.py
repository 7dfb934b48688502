"""`taskstream rejected show`: one rejected record with its headers, its bytes, and the result of decoding it now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import numpy as np

from taskstream.compose.cli.options.kafka_options import kafka_options
from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.compose.cli.output.formats import output_option, print_json, time_text
from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.cli.rejected.partition_offset import PARTITION_OFFSET
from taskstream.compose.cli.stop_signals import exit_when_interrupted
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.records.event_decoder import EventDecoder
from taskstream.consumer.rejects.rejected_record import is_note, offsets_in_note, ranges_of, reject_of, shown_headers
from taskstream.consumer.rejects.rejects_reader import RejectsReader
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.errors import Undecodable
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.terminal_text import terminal_text
from taskstream.schemas.topics import Topics

_LINE = 16


@click.command("show")
@click.argument("place", metavar="PARTITION:OFFSET", type=PARTITION_OFFSET)
@kafka_options
@schema_ids_option
@prefix_option
@output_option
@click.option("--bytes", "most", default=4096, type=click.IntRange(min=1), help="Bytes of the value to dump.")
def show_rejected(
    *, place: tuple[int, int], kafka: KafkaClient, ids: SchemaIds, prefix: str, output: str, most: int
) -> None:
    """Show one rejected record: its origin, the reason, its bytes, and what decoding it gives now."""
    with exit_when_interrupted("nothing was written"):
        rejects = RejectsReader(kafka.config(), Topics(prefix), ids)
        record = rejects.record_at(*place)
        fields = (
            _note_fields(record)
            if is_note(record)
            else _record_fields(record, ids, rejects.redriven_offsets().get(place[0], set()))
        )
    if output == "json":
        print_json(fields | {"value": None if record.value is None else record.value.hex()})
        return
    for name, value in fields.items():
        if name != "headers":
            echo(f"{name.replace('_', ' '):<12} {terminal_text(_text(value))}")
    for each in fields["headers"]:
        echo(f"{'header':<12} {terminal_text(str(each['name']))}: {terminal_text(str(each['value']))}")
    for line in dump((record.value or b"")[:most]):
        echo(line)
    if len(record.value or b"") > most:
        echo(f"{len(record.value or b'') - most:,} more bytes: show them with --bytes", err=True)


def dump(value: bytes) -> Iterator[str]:
    """A hex dump: per line the offset, 16 bytes in hex, and the same bytes as ASCII."""
    for begin in range(0, len(value), _LINE):
        part = value[begin : begin + _LINE]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        yield f"{begin:08x}  {part[:8].hex(' '):<23}  {part[8:].hex(' '):<23}  |{text}|"


def _record_fields(record: RawRecord, ids: SchemaIds, driven: set[int]) -> dict[str, Any]:
    reject = reject_of(record)
    return {
        "place": reject.location,
        "rejected": time_text(record.timestamp_ms),
        "reason": reject.reason,
        "detail": reject.detail,
        "topic": reject.topic,
        "partition": reject.partition,
        "offset": reject.offset,
        "received": time_text(reject.timestamp_ms),
        "drives": reject.redrives,
        "driven": record.offset in driven,
        "key": None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
        "bytes": None if record.value is None else len(record.value),
        **_decoded(record.value, -1 if reject.timestamp_ms is None else reject.timestamp_ms, ids),
        "headers": shown_headers(record.headers),
    }


def _decoded(value: bytes | None, timestamp_ms: int, ids: SchemaIds) -> dict[str, Any]:
    """What decoding the bytes of a record with this timestamp (-1: none) gives with this version."""
    try:
        record = RecordReader(ids, "ProgressReported").read(value)
    except Undecodable as error:
        return {"readable_now": False, "now": str(error)}
    rejected = EventDecoder(ids).decode([value], np.array([timestamp_ms], np.int64)).rejected
    if rejected:
        return {"readable_now": False, "now": f"{rejected[0].reason}: {rejected[0].detail}"}
    return {"readable_now": True, "now": record}


def _note_fields(record: RawRecord) -> dict[str, Any]:
    return {
        "place": f"{record.partition}:{record.offset}",
        "note": f"redriven at {time_text(record.timestamp_ms)}",
        "offsets": ranges_of(offsets_in_note(record)),
        "headers": shown_headers(record.headers),
    }


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

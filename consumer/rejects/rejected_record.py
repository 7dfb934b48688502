"""One record of the rejected topic: where it came from, why it is there, how often it was driven back; or a note.

A note is a record of ours between the rejected ones of a partition: it names those of that partition that were driven
back in the same transaction. It knows headers and bytes, and no Kafka.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from taskstream.consumer.kafka.carried_record import CarriedRecord, Headers

NOTE = "taskstream_note"
"""The header that makes a record a note; its value says what it is of."""
DRIVEN = b"driven"
DRIVES = "taskstream_drives"
"""The header of a record that was driven back: how often. Workers keep it when they reject the record again."""
_ORIGIN = ("reason", "detail", "topic", "partition", "offset", "timestamp_ms")
_WORKERS = frozenset(f"taskstream_{each}" for each in _ORIGIN)
"""The headers that the worker adds."""


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A rejected record, as its headers tell it."""

    record: CarriedRecord
    """As it lies on the rejected topic."""
    reason: str
    detail: str
    topic: str | None
    partition: int | None
    offset: int | None
    timestamp_ms: int | None
    """Topic, partition, offset and timestamp that it had; None: its headers do not tell."""
    drives: int
    """How often it was driven back before."""

    @property
    def place(self) -> str:
        """What it is called by."""
        return f"{self.record.partition}:{self.record.offset}"

    def headers_as_received(self) -> Headers:
        """Its headers without what the worker and the redrive have added."""
        return [each for each in self.record.headers if each[0] not in _WORKERS and each[0] != DRIVES]


def reject_of(record: CarriedRecord) -> RejectedRecord:
    """What the headers tell; also a record that somebody else has put there is one, of reason `unknown`."""
    told = {name: _text(value) for name, value in record.headers}
    return RejectedRecord(
        record,
        told.get("taskstream_reason") or "unknown",
        told.get("taskstream_detail") or "",
        told.get("taskstream_topic"),
        _number(told.get("taskstream_partition")),
        _number(told.get("taskstream_offset")),
        _number(told.get("taskstream_timestamp_ms")),
        _number(told.get(DRIVES)) or 0,
    )


def is_note(record: CarriedRecord) -> bool:
    """Whether this is a note; a rejected record always has a reason, whatever headers it came with."""
    names = {name for name, _ in record.headers}
    return NOTE in names and "taskstream_reason" not in names


def note_of(offsets: Iterable[int]) -> tuple[bytes, Headers]:
    """Value and headers of the note that these offsets of its partition were driven back."""
    value = json.dumps({"driven": ranges_of(offsets)}, separators=(",", ":")).encode()
    return value, [(NOTE, DRIVEN), ("content-type", b"application/json")]


def driven_by(record: CarriedRecord) -> set[int]:
    """The offsets that a note names; none, if it is a note of something else or cannot be read."""
    try:
        told = json.loads(record.value or b"")
        return {offset for first, last in told["driven"] for offset in range(first, last + 1)}
    except (ValueError, KeyError, TypeError):
        return set()


def ranges_of(offsets: Iterable[int]) -> list[list[int]]:
    """Numbers as ranges, first and last of each: [[3, 5], [9, 9]]."""
    ranges: list[list[int]] = []
    for offset in sorted(offsets):
        if ranges and ranges[-1][1] == offset - 1:
            ranges[-1][1] = offset
        else:
            ranges.append([offset, offset])
    return ranges


def missing_origin(reject: RejectedRecord, topic: str, partitions: int) -> str | None:
    """Why it cannot be driven back to `topic`; None: it can."""
    if reject.topic is None or reject.partition is None:
        return "no origin"
    if reject.topic != topic:
        return "of another topic"
    return None if reject.partition < partitions else "of a partition that is not there"


def shown_headers(headers: Headers) -> list[Mapping[str, str | None]]:
    """Headers for people: what is no text as hex."""
    return [{"name": name, "value": _shown(value)} for name, value in headers]


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _shown(value: str | bytes | None) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return f"0x{value.hex()}"
    return value


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None

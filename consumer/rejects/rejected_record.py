"""One record of the rejected topic: its origin, why it was rejected, how often it was redriven; or a redrive note.

To redrive is to send a rejected record to its origin again. A note is a record between the rejected records of a
partition, with the offsets of those that were redriven in the same transaction. This file knows headers and bytes, and
no Kafka.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from taskstream.consumer.kafka.raw_record import Headers, RawRecord

NOTE = "taskstream_note"
"""The header of a note; its value is the kind of note."""
REDRIVE_NOTE = b"driven"
REDRIVES = "taskstream_drives"
"""The header with how often a record was redriven. Workers keep it when they reject the record again."""
_ORIGIN = ("reason", "detail", "topic", "partition", "offset", "timestamp_ms")
_WORKERS = frozenset(f"taskstream_{each}" for each in _ORIGIN)
"""The headers that the worker adds."""


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A rejected record and what its headers say."""

    record: RawRecord
    """The record on the rejected topic."""
    reason: str
    detail: str
    topic: str | None
    partition: int | None
    offset: int | None
    timestamp_ms: int | None
    """Topic, partition, offset and timestamp of its origin; None: its headers do not have it."""
    redrives: int
    """How often it was redriven before."""

    @property
    def location(self) -> str:
        """PARTITION:OFFSET on the rejected topic."""
        return f"{self.record.partition}:{self.record.offset}"

    def headers_as_received(self) -> Headers:
        """Its headers without those that a worker and a redrive add."""
        return [each for each in self.record.headers if each[0] not in _WORKERS and each[0] != REDRIVES]


def reject_of(record: RawRecord) -> RejectedRecord:
    """The rejected record; one that no worker has put there has the reason `unknown`."""
    headers = {name: _text(value) for name, value in record.headers}
    return RejectedRecord(
        record,
        headers.get("taskstream_reason") or "unknown",
        headers.get("taskstream_detail") or "",
        headers.get("taskstream_topic"),
        _number(headers.get("taskstream_partition")),
        _number(headers.get("taskstream_offset")),
        _number(headers.get("taskstream_timestamp_ms")),
        _number(headers.get(REDRIVES)) or 0,
    )


def is_note(record: RawRecord) -> bool:
    """Whether this is a note. A rejected record always has a reason, also when it was received with a note's header."""
    names = {name for name, _ in record.headers}
    return NOTE in names and "taskstream_reason" not in names


def note_of(offsets: Iterable[int]) -> tuple[bytes, Headers]:
    """Value and headers of the note that these offsets of its partition were redriven."""
    value = json.dumps({"driven": ranges_of(offsets)}, separators=(",", ":")).encode()
    return value, [(NOTE, REDRIVE_NOTE), ("content-type", b"application/json")]


def offsets_in_note(record: RawRecord) -> set[int]:
    """The offsets in a redrive note; none, if it is another note or cannot be read."""
    try:
        note = json.loads(record.value or b"")
        return {offset for first, last in note["driven"] for offset in range(first, last + 1)}
    except (ValueError, KeyError, TypeError):
        return set()


def ranges_of(offsets: Iterable[int]) -> list[list[int]]:
    """Numbers as ranges, first and last of each: 3, 4, 5, 9 gives [[3, 5], [9, 9]]."""
    ranges: list[list[int]] = []
    for offset in sorted(offsets):
        if ranges and ranges[-1][1] == offset - 1:
            ranges[-1][1] = offset
        else:
            ranges.append([offset, offset])
    return ranges


def missing_origin(reject: RejectedRecord, topic: str, partitions: int) -> str | None:
    """Why it cannot be redriven to `topic`, which has so many `partitions`; None: it can."""
    if reject.topic is None or reject.partition is None:
        return "no origin"
    if reject.topic != topic:
        return "of another topic"
    return None if reject.partition < partitions else "of a partition that is not there"


def shown_headers(headers: Headers) -> list[Mapping[str, str | None]]:
    """Headers for people: values that are not UTF-8 in hexadecimal."""
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
    """A number of at most 18 digits, which is a 64-bit integer."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) <= 18 else None

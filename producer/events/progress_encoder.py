"""A hand-written Avro encoder of ProgressReported.v2, because the edge encodes one per request.

`schemas.codec.record_codec.RecordWriter` writes the same bytes at three times the CPU cost; a test compares the two.
It knows the field order of this one schema and must not validate anything.
"""

from __future__ import annotations

import operator
import struct
from typing import Any, Final

from taskstream.schemas.catalog import named
from taskstream.schemas.codec import wire_format
from taskstream.schemas.ids import SchemaIds

TITLE: Final = "ProgressReported.v2"
_NULL: Final = b"\0"
_V2_NUMBERS: Final = (
    "total_cpu_usage",
    "agent_cpu_usage",
    "total_mem_usage",
    "agent_mem_usage",
    "total_disk_io",
    "agent_disk_io",
)
_V2_OTHERS: Final = ("need_migration_test", "agent_time")
_ALL_NULL: Final = (None,) * (len(_V2_NUMBERS) + len(_V2_OTHERS))
_v2_fields: Final = operator.itemgetter(*_V2_NUMBERS, *_V2_OTHERS)
_ONE_BYTE: Final = [bytes([value]) for value in range(128)]
_TWO_BYTES: Final = [bytes([value & 127 | 128, value >> 7]) for value in range(1 << 14)]
_TWO_AND_MORE: Final = [bytes([value & 127 | 128, value >> 7 | 128]) for value in range(1 << 14)]
_double: Final = struct.Struct("<Bd").pack


class ProgressEncoder:
    """Encodes records of ProgressReported.v2."""

    def __init__(self, ids: SchemaIds) -> None:
        self._header = wire_format.header(ids.id_of(named(TITLE)))

    def encode(
        self, fields: dict[str, Any], event_id: str, project_id: str, task_id: str, received_at_us: int
    ) -> bytes:
        """The Kafka value of one event. `fields` has every field of a valid report; an absent field is None."""
        parts = [
            self._header,
            _string(event_id),
            _string(project_id),
            _string(task_id),
            _long(received_at_us),
            _string(fields["subtask_name"]),
            _long(fields["progress"]),
            _long(fields["replicatesize"]),
            _long(fields["totalsize"]),
            _string(fields["process_trace"]),
            _NULL if (value := fields["migrate_speed"]) is None else _double(2, value),
            _NULL if (value := fields["compress_rate"]) is None else _double(2, value),
            _NULL if (value := fields["remain_time"]) is None else b"\2" + _long(value),
        ]
        v2 = _v2_fields(fields)
        if v2 == _ALL_NULL:
            parts.append(_NULL * len(v2))
            return b"".join(parts)
        *numbers, wants_test, agent_time = v2
        parts += [_NULL if value is None else _double(2, value) for value in numbers]
        parts.append(_NULL if wants_test is None else (b"\2\1" if wants_test else b"\2\0"))
        parts.append(_NULL if agent_time is None else b"\2" + _string(agent_time))
        return b"".join(parts)


def report_offset(event_id: str, project_id: str, task_id: str, received_at_us: int) -> int:
    """Where the report's own fields begin in the Kafka value of its event: what precedes them is the edge's."""
    parts = (_string(event_id), _string(project_id), _string(task_id), _long(received_at_us))
    return wire_format.HEADER_SIZE + sum(map(len, parts))


def _string(text: str) -> bytes:
    encoded = text.encode()
    return _long(len(encoded)) + encoded


def _long(value: int) -> bytes:
    """The zigzag varint of a non-negative long; each step takes two bytes from a table."""
    rest = value << 1
    if rest < 128:
        return _ONE_BYTE[rest]
    if rest < 16384:
        return _TWO_BYTES[rest]
    out = _TWO_AND_MORE[rest & 16383]
    rest >>= 14
    while rest >= 16384:
        out += _TWO_AND_MORE[rest & 16383]
        rest >>= 14
    return out + (_ONE_BYTE[rest] if rest < 128 else _TWO_BYTES[rest])

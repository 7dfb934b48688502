"""A hand-written Avro encoder of ProgressReported.v2, because the edge encodes one per request.

`schemas.codec.record_codec.RecordWriter` writes the same bytes at three times the CPU cost; a test compares the two.
It knows the field order of this one schema and must not validate anything.
"""

from __future__ import annotations

import functools
import struct
from typing import Final

from taskstream.producer.events.plain_report import PlainReport
from taskstream.producer.events.report_validation import ProgressReport
from taskstream.schemas.catalog import named
from taskstream.schemas.codec import wire_format
from taskstream.schemas.ids import SchemaIds

TITLE: Final = "ProgressReported.v2"
_NULL: Final = b"\0"
_ONE_BYTE: Final = [bytes([value]) for value in range(128)]
_TWO_BYTES: Final = [bytes([value & 127 | 128, value >> 7]) for value in range(1 << 14)]
_TWO_AND_MORE: Final = [bytes([value & 127 | 128, value >> 7 | 128]) for value in range(1 << 14)]
_NO_NUMBERS: Final = (None,) * 6
_NO_V2_FIELDS: Final = _NULL * 8
_TASKS: Final = 4096
"""So many tasks are kept encoded."""
_double: Final = struct.Struct("<Bd").pack


class ProgressEncoder:
    """Encodes records of ProgressReported.v2."""

    def __init__(self, ids: SchemaIds) -> None:
        self._header = wire_format.header(ids.id_of(named(TITLE)))

    def encode(
        self,
        report: PlainReport | ProgressReport,
        event_id: str,
        project_id: str,
        task_id: str,
        received_at_us: int,
    ) -> bytes:
        """The Kafka value of one event."""
        speed, compression, remain_time = report.migrate_speed, report.compress_rate, report.remain_time
        parts = [
            self._header,
            _string(event_id),
            _task(project_id, task_id),
            _long(received_at_us),
            _subtask(report.subtask_name),
            _ONE_BYTE[report.progress << 1] if report.progress < 64 else _TWO_BYTES[report.progress << 1],
            _long(report.replicatesize),
            _long(report.totalsize),
            _string(report.process_trace),
            _NULL if speed is None else _double(2, speed),
            _NULL if compression is None else _double(2, compression),
            _NULL if remain_time is None else b"\2" + _long(remain_time),
        ]
        numbers = (
            report.total_cpu_usage,
            report.agent_cpu_usage,
            report.total_mem_usage,
            report.agent_mem_usage,
            report.total_disk_io,
            report.agent_disk_io,
        )
        wants_test, agent_time = report.need_migration_test, report.agent_time
        if numbers == _NO_NUMBERS and wants_test is None and agent_time is None:
            parts.append(_NO_V2_FIELDS)
            return b"".join(parts)
        parts += [_NULL if value is None else _double(2, value) for value in numbers]
        parts.append(_NULL if wants_test is None else (b"\2\1" if wants_test else b"\2\0"))
        parts.append(_NULL if agent_time is None else b"\2" + _string(agent_time))
        return b"".join(parts)


def report_offset(event_id: str, project_id: str, task_id: str, received_at_us: int) -> int:
    """Where the report's own fields begin in the Kafka value of its event: what precedes them is the edge's."""
    parts = (_string(event_id), _task(project_id, task_id), _long(received_at_us))
    return wire_format.HEADER_SIZE + sum(map(len, parts))


@functools.lru_cache(_TASKS)
def _task(project_id: str, task_id: str) -> bytes:
    return _string(project_id) + _string(task_id)


@functools.lru_cache(64)
def _subtask(name: str) -> bytes:
    return _string(name)


def _string(text: str) -> bytes:
    encoded = text.encode()
    length = len(encoded)
    return (_ONE_BYTE[length << 1] if length < 64 else _long(length)) + encoded


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

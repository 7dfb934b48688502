"""Reads a lake's files of a range of times as Arrow record batches. It opens only the days of the range."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from taskstream.consumer.errors import LakeUnusable
from taskstream.consumer.export.topic_batches import batch_schema
from taskstream.consumer.kafka.ranges import Bound, Earliest, Latest, Since, ms_of_time
from taskstream.consumer.lake.day_and_project import TIME_COLUMNS
from taskstream.consumer.lake.lake_store import published
from taskstream.schemas.codec.column_codec import ColumnReader
from taskstream.schemas.errors import cause_of
from taskstream.schemas.ids import TableIds

_DAY = re.compile(r"/day=(\d{4}-\d\d-\d\d)/")
_FIRST_MS, _END_MS = -62_135_596_800_000, 253_402_300_800_000
"""The years 1 to 9999, milliseconds since 1970."""


def lake_reader(filesystem: Any, root: str, folder: str, record: str, start: Bound, end: Bound) -> pa.RecordBatchReader:
    """The records of a topic's folder whose own time (see `TIME_COLUMNS`) is from `start` to `end`.

    record: the name of the Avro record. Columns that an older release did not write are null.

    Raises:
        LakeUnusable: a bound is a file of offsets, or the lake cannot be read.
    """
    from_ms, to_ms = _ms(start), _ms(end)
    schema = batch_schema(ColumnReader(TableIds(), record).schema, record)
    try:
        files = [each for each in published(filesystem, root, folder) if _has_time(each, from_ms, to_ms)]
        if not files:
            return pa.RecordBatchReader.from_batches(schema, iter(()))
        time = ds.field(TIME_COLUMNS[record])
        within = (time >= _scalar(from_ms)) & (time < _scalar(to_ms))
        found = ds.dataset(files, schema=schema, filesystem=filesystem, format="parquet")
        return found.scanner(filter=within).to_reader()
    except (OSError, pa.ArrowException) as error:
        raise LakeUnusable(f"the lake {root} cannot be read: {cause_of(error)}") from error


def _ms(bound: Bound) -> int:
    match bound:
        case Since(timestamp_ms):
            return min(max(timestamp_ms, _FIRST_MS), _END_MS)
        case Earliest():
            return _FIRST_MS
        case Latest():
            return _END_MS
        case _:
            raise LakeUnusable("a range of a lake is between times, and not between offsets of a file")


def _scalar(moment_ms: int) -> pa.Scalar:
    return pa.scalar(moment_ms * 1000, pa.int64()).cast(pa.timestamp("us", "UTC"))


def _has_time(path: str, from_ms: int, to_ms: int) -> bool:
    """Whether a file's day can have a time of the range. Files without a day have times of no calendar."""
    found = _DAY.search(path)
    if found is None:
        return False
    begin_ms = ms_of_time(found[1])
    return begin_ms < to_ms and begin_ms + 86_400_000 > from_ms

"""Many records at once: a list of wire bytes to an Arrow RecordBatch, and a RecordBatch to a list of wire bytes.

It reads any mix of schema versions as the newest one. A record that cannot be read becomes a reason and never an
exception, and leaves its neighbours alone. `codec` says the same of one record, and is what this is tested against.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.schemas.catalog import Schema, newest
from taskstream.schemas.codec import column_loops, wire_format
from taskstream.schemas.codec.read_plan import (
    BOOLEAN,
    INT,
    LONGS,
    STRING,
    Column,
    ReadPlan,
    columns_of,
    plan_for,
    read_plan,
)
from taskstream.schemas.codec.wire_format import HEADER_SIZE, Reason
from taskstream.schemas.errors import BatchTooLarge, Undecodable, Unencodable
from taskstream.schemas.ids import SchemaIds

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LARGEST_BATCH = (1 << 31) - 1
"""Bytes in one call of `read`: Arrow's offsets have 32 bits."""
_STATUS_REASONS = {
    column_loops.TRUNCATED: (Reason.TRUNCATED, "the bytes end before the record does"),
    column_loops.TRAILING: (Reason.TRAILING, "bytes follow the record"),
    column_loops.UTF8: (Reason.UTF8, "a string is not UTF-8"),
    column_loops.INVALID: (Reason.INVALID, "a union branch, boolean, length or number is not what the schema allows"),
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that could not be read: its place in the list, and why."""

    index: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a list of wire bytes holds: the readable records as columns, and the others."""

    batch: pa.RecordBatch
    kept: Ints
    """For each row of `batch` its place in the list."""
    rejected: list[Rejected]


class ColumnReader:
    """Reads lists of wire bytes of one record name, as its newest version or only `wanted` fields of it."""

    def __init__(self, ids: SchemaIds, name: str, wanted: frozenset[str] | None = None) -> None:
        self._ids = ids
        self._name = name
        self._columns = columns_of(newest(name), wanted)
        self._schema = pa.schema([pa.field(each.name, each.arrow, each.nullable) for each in self._columns])
        self._plans: dict[int, ReadPlan] = {}

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every batch."""
        return self._schema

    def read(self, values: Sequence[bytes | None]) -> Decoded:
        """The records in their order, and the unreadable ones with their reasons. None is read as no bytes.

        Raises:
            RegistryFailed: a schema id had to be looked up and the registry did not answer; nothing was read.
            BatchTooLarge: the values have 2 GiB or more together.
        """
        framed = [value or b"" for value in values]
        count = len(framed)
        sizes = np.fromiter(map(len, framed), np.int64, count)
        ends = np.cumsum(sizes)
        if count and ends[-1] > LARGEST_BATCH:
            raise BatchTooLarge(f"{ends[-1]} bytes in one call: read fewer of the {count} records at once")
        data = np.frombuffer(b"".join(framed), np.uint8)
        starts = ends - sizes
        cells = _Cells.empty(len(self._columns), count)
        status = np.zeros(count, np.int64)
        rejected: list[Rejected] = []
        schema_ids = np.empty(count, np.int64)
        column_loops.read_headers(data, starts, ends, schema_ids)
        rejected.extend(_misframed(int(index), framed[index]) for index in np.flatnonzero(schema_ids < 0))
        for number in np.unique(schema_ids[schema_ids >= 0]):
            rows = np.flatnonzero(schema_ids == number)
            try:
                plan = self._plan(int(number))
            except Undecodable as error:
                rejected.extend(Rejected(int(index), Reason(error.reason), error.detail) for index in rows)
            else:
                column_loops.read_records(
                    data,
                    starts + HEADER_SIZE,
                    ends,
                    rows,
                    plan.kinds,
                    plan.null_branches,
                    plan.columns,
                    plan.to_double,
                    cells.values,
                    cells.lengths,
                    cells.valid,
                    status,
                )
                bad = rows[status[rows] != column_loops.GOOD]
                rejected.extend(Rejected(int(index), *_STATUS_REASONS[int(status[index])]) for index in bad)
        rejected.sort(key=lambda each: each.index)
        kept = np.arange(count)
        if rejected:
            kept = np.delete(kept, [each.index for each in rejected])
            cells = cells.take(kept)
        arrays = [_to_arrow(column, cells, place, data) for place, column in enumerate(self._columns)]
        return Decoded(pa.RecordBatch.from_arrays(arrays, schema=self._schema), kept, rejected)

    def _plan(self, number: int) -> ReadPlan:
        if number not in self._plans:
            _, self._plans[number] = plan_for(self._ids, number, self._name, self._columns)
        return self._plans[number]


class ColumnWriter:
    """Writes RecordBatches as wire bytes of one schema."""

    def __init__(self, ids: SchemaIds, schema: Schema) -> None:
        self._title = schema.title
        self._columns = columns_of(schema)
        self._head = np.frombuffer(wire_format.header(ids.id_of(schema)), np.uint8)
        self._kinds = np.array([each.kind for each in self._columns], np.int64)
        self._nullable = np.array([each.nullable for each in self._columns], np.bool_)
        plan = read_plan(schema, self._columns)
        self._null_branches = plan.null_branches
        self._schema = pa.schema([pa.field(each.name, each.arrow, each.nullable) for each in self._columns])

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema that batches must have."""
        return self._schema

    def write(self, batch: pa.RecordBatch) -> list[bytes]:
        """One wire value a row.

        Raises:
            Unencodable: the batch has another schema, or a null where none may be.
        """
        if not batch.schema.equals(self._schema, check_metadata=False):
            raise Unencodable(f"{self._title} is written from {self._schema}, not from {batch.schema}")
        count = batch.num_rows
        if count == 0:
            return []
        cells = _Cells.empty(len(self._columns), count)
        strings: list[npt.NDArray[np.uint8]] = []
        longs: list[Ints] = []
        string_base = long_base = 0
        for place, (column, array) in enumerate(zip(self._columns, batch.columns, strict=True)):
            if array.null_count and not column.nullable:
                raise Unencodable(f"{self._title}: {column.name} has {array.null_count} nulls and may have none")
            cells.valid[place] = _valid(array)
            if column.kind == STRING:
                offsets, data = _string_buffers(array)
                cells.values[place] = offsets[:-1] + string_base
                cells.lengths[place] = np.diff(offsets)
                strings.append(data)
                string_base += data.shape[0]
            elif column.kind == LONGS:
                if array.values.null_count and array.flatten().null_count:
                    raise Unencodable(f"{self._title}: {column.name} has a null among its items and may have none")
                offsets = np.asarray(array.offsets).astype(np.int64)
                items = np.asarray(array.values.fill_null(0), np.int64)
                cells.values[place] = offsets[:-1] + long_base
                cells.lengths[place] = np.diff(offsets)
                longs.append(items)
                long_base += items.shape[0]
            else:
                cells.values[place] = _bits(column, array)
        sizes = np.empty(count, np.int64)
        all_longs = np.concatenate(longs) if longs else np.empty(0, np.int64)
        all_strings = np.concatenate(strings) if strings else np.empty(0, np.uint8)
        args = (cells.values, cells.lengths, cells.valid)
        column_loops.measure_records(self._kinds, self._nullable, *args, all_longs, HEADER_SIZE, sizes)
        ends = np.zeros(count + 1, np.int64)
        np.cumsum(sizes, out=ends[1:])
        out = np.empty(int(ends[-1]), np.uint8)
        column_loops.write_records(
            self._kinds, self._nullable, self._null_branches, *args, all_strings, all_longs, self._head, ends, out
        )
        whole = out.tobytes()
        bounds = ends.tolist()
        return [whole[start:end] for start, end in itertools.pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class _Cells:
    """What the loops read into and write from: three matrices, [columns, records]."""

    values: Ints
    lengths: Ints
    valid: Bools

    @staticmethod
    def empty(columns: int, records: int) -> _Cells:
        shape = (columns, records)
        return _Cells(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.bool_))

    def take(self, rows: Ints) -> _Cells:
        return _Cells(self.values[:, rows], self.lengths[:, rows], self.valid[:, rows])


def _misframed(index: int, value: bytes) -> Rejected:
    if not value:
        return Rejected(index, Reason.EMPTY, "the value has no bytes")
    if value[0] != wire_format.MAGIC:
        return Rejected(index, Reason.MAGIC, f"the first byte is 0x{value[0]:02x} and should be 0x00")
    return Rejected(index, Reason.TRUNCATED, f"{len(value)} bytes cannot hold the header of {HEADER_SIZE}")


def _to_arrow(column: Column, cells: _Cells, place: int, data: npt.NDArray[np.uint8]) -> pa.Array:
    values, valid = cells.values[place], cells.valid[place]
    count = values.shape[0]
    nulls = 0 if valid.all() else count - int(np.count_nonzero(valid))
    validity = pa.py_buffer(np.packbits(valid, bitorder="little")) if nulls else None
    if column.kind in (STRING, LONGS):
        lengths = np.where(valid, cells.lengths[place], 0) if nulls else cells.lengths[place]
        offsets = np.zeros(count + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        if column.kind == STRING:
            text = np.empty(int(offsets[-1]), np.uint8)
            column_loops.gather_strings(data, values, lengths, offsets, text)
            buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(text)]
            return pa.Array.from_buffers(column.arrow, count, buffers, nulls)
        items = np.empty(int(offsets[-1]), np.int64)
        column_loops.gather_longs(data, values, lengths, offsets, items)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(items), type=column.arrow)
    if column.kind == BOOLEAN:
        bits = pa.py_buffer(np.packbits(values.astype(np.bool_), bitorder="little"))
        return pa.Array.from_buffers(column.arrow, count, [validity, bits], nulls)
    numbers = values.astype(np.int32) if column.kind == INT else np.ascontiguousarray(values)
    return pa.Array.from_buffers(column.arrow, count, [validity, pa.py_buffer(numbers)], nulls)


def _valid(array: pa.Array) -> Bools | bool:
    if not array.null_count:
        return True
    return np.asarray(array.is_valid())


def _bits(column: Column, array: pa.Array) -> Ints:
    """The values as 64 bits each; anything where it is null."""
    if column.kind == BOOLEAN:
        return np.asarray(array.cast(pa.int8()).fill_null(0)).astype(np.int64)
    width = np.dtype(np.int32) if column.kind == INT else np.dtype(np.int64)
    whole = np.frombuffer(array.buffers()[1], width)
    return whole[array.offset : array.offset + len(array)].astype(np.int64, copy=False)


def _string_buffers(array: pa.Array) -> tuple[Ints, npt.NDArray[np.uint8]]:
    _, offsets, data = array.buffers()
    if offsets is None or len(array) == 0:
        return np.zeros(len(array) + 1, np.int64), np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    text = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return bounds, text

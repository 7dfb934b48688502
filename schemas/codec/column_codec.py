"""Decodes a list of Kafka values into an Arrow RecordBatch, and encodes a RecordBatch into a list of Kafka values.

A list may mix schema versions: every record is decoded as the newest version. A record that cannot be decoded yields a
reason instead of an exception and does not affect the other records. `record_codec` decodes one record at a time; the
tests compare the two. This file knows no topics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.schemas.catalog import Schema, newest
from taskstream.schemas.codec import column_loops, wire_format
from taskstream.schemas.codec.field_cutter import FieldCutter, cutter_for
from taskstream.schemas.codec.packed_values import PackedValues, Values
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
from taskstream.schemas.errors import Undecodable, Unencodable
from taskstream.schemas.ids import SchemaIds

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_STATUS_REASONS = {
    column_loops.TRUNCATED: (Reason.TRUNCATED, "the value ends before the record does"),
    column_loops.TRAILING: (Reason.TRAILING, "bytes follow the record"),
    column_loops.UTF8: (Reason.UTF8, "a string is not valid UTF-8"),
    column_loops.INVALID: (Reason.INVALID, "a union branch, boolean, length or integer is outside the schema's range"),
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """One value that could not be decoded: its index in the input list, and why."""

    index: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The result of decoding a list of values: the records as columns, and the values that were rejected."""

    batch: pa.RecordBatch
    kept: Ints
    """[rows of `batch`] The index of each row in the input list."""
    rejected: list[Rejected]
    """In the order of the input list."""


class ColumnReader:
    """Decodes values of the record `name` as its newest version: all fields, or only those in `wanted`.

    Raises:
        UnknownSchema: no released record has this name.
        Unresolvable: `wanted` names a field that the record does not have.
    """

    def __init__(self, ids: SchemaIds, name: str, wanted: frozenset[str] | None = None) -> None:
        self._ids = ids
        self._name = name
        self._columns = columns_of(newest(name), wanted)
        self._schema = pa.schema([pa.field(each.name, each.arrow, each.nullable) for each in self._columns])
        self._plans: dict[int, ReadPlan] = {}
        self._cutters: dict[int, FieldCutter] = {}
        """[schema id] Of the schemas with fields that must be cut out."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every batch."""
        return self._schema

    def read(self, values: Values) -> Decoded:
        """Decode the values, keeping their order. None (a tombstone) counts as an empty value and is rejected.

        Raises:
            RegistryFailed: a schema id is unknown here and the registry did not answer; nothing was decoded.
            BatchTooLarge: the values have 2 GiB or more in total.
        """
        packed = values if isinstance(values, PackedValues) else PackedValues.of(values)
        count, data, starts, ends = len(packed), packed.data, packed.starts, packed.ends
        cells = _Cells.empty(len(self._columns), count)
        status = np.zeros(count, np.int64)
        rejected: list[Rejected] = []
        schema_ids = np.empty(count, np.int64)
        column_loops.read_headers(data, starts, ends, schema_ids)
        rejected.extend(_misframed(int(index), packed[int(index)]) for index in np.flatnonzero(schema_ids < 0))
        for schema_id in np.unique(schema_ids[schema_ids >= 0]):
            rows = np.flatnonzero(schema_ids == schema_id)
            try:
                plan = self._plan(int(schema_id))
            except Undecodable as error:
                rejected.extend(Rejected(int(index), Reason(error.reason), error.detail) for index in rows)
            else:
                if plan.cut:
                    rows, failed, data, starts, ends = self._cut(packed, rows, int(schema_id), data, starts, ends)
                    rejected.extend(failed)
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
                invalid = rows[status[rows] != column_loops.GOOD]
                rejected.extend(Rejected(int(index), *_STATUS_REASONS[int(status[index])]) for index in invalid)
        rejected.sort(key=lambda each: each.index)
        kept = np.arange(count)
        if rejected:
            kept = np.delete(kept, [each.index for each in rejected])
            cells = cells.select_rows(kept)
        arrays = [_to_arrow(column, cells, index, data) for index, column in enumerate(self._columns)]
        return Decoded(pa.RecordBatch.from_arrays(arrays, schema=self._schema), kept, rejected)

    def _plan(self, schema_id: int) -> ReadPlan:
        if schema_id not in self._plans:
            written, plan = plan_for(self._ids, schema_id, self._name, self._columns)
            if plan.cut:
                self._cutters[schema_id] = cutter_for(written, plan)
            self._plans[schema_id] = plan
        return self._plans[schema_id]

    def _cut(
        self,
        packed: PackedValues,
        rows: Ints,
        schema_id: int,
        data: npt.NDArray[np.uint8],
        starts: Ints,
        ends: Ints,
    ) -> tuple[Ints, list[Rejected], npt.NDArray[np.uint8], Ints, Ints]:
        """Append the records `rows` to `data` without the fields that no column supports; `starts`, `ends` follow.

        Returns the rows that could be cut, the others with their reasons, and new data, starts and ends.
        """
        cutter, rejected, good, values = self._cutters[schema_id], [], [], []
        for row in rows.tolist():
            try:
                values.append(cutter.cut(packed[row]))
                good.append(row)
            except Undecodable as error:
                rejected.append(Rejected(row, Reason(error.reason), error.detail))
        kept = np.array(good, np.int64)
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        starts, ends = starts.copy(), ends.copy()
        ends[kept] = data.shape[0] + np.cumsum(sizes)
        starts[kept] = ends[kept] - sizes
        return kept, rejected, np.concatenate([data, np.frombuffer(b"".join(values), np.uint8)]), starts, ends


class ColumnWriter:
    """Encodes RecordBatches as Kafka values of one schema.

    Raises:
        UnknownSchema: the schema has no id.
        RegistryFailed: the schema's id had to be looked up and the registry did not answer.
    """

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
        """The Arrow schema that every batch must have."""
        return self._schema

    def write(self, batch: pa.RecordBatch) -> list[bytes]:
        """Encode the batch: one value per row, in the order of the rows; see `write_packed` for its errors."""
        return list(self.write_packed(batch))

    def write_packed(self, batch: pa.RecordBatch) -> PackedValues:
        """Encode the batch into one buffer: one value per row, in the order of the rows.

        Raises:
            Unencodable: the batch's Arrow schema is not `schema`, or a field that is not nullable holds a null.
        """
        if not batch.schema.equals(self._schema, check_metadata=False):
            raise Unencodable(f"{self._title} is written from a batch of {self._schema}, not of {batch.schema}")
        count = batch.num_rows
        if count == 0:
            return PackedValues.of([])
        cells = _Cells.empty(len(self._columns), count)
        strings: list[npt.NDArray[np.uint8]] = []
        longs: list[Ints] = []
        string_base = long_base = 0
        for index, (column, array) in enumerate(zip(self._columns, batch.columns, strict=True)):
            if array.null_count and not column.nullable:
                raise Unencodable(f"{self._title}: {column.name} has {array.null_count} nulls and is not nullable")
            cells.valid[index] = _valid(array)
            if column.kind == STRING:
                offsets, data = _string_buffers(array)
                cells.values[index] = offsets[:-1] + string_base
                cells.lengths[index] = np.diff(offsets)
                strings.append(data)
                string_base += data.shape[0]
            elif column.kind == LONGS:
                if array.values.null_count and array.flatten().null_count:
                    raise Unencodable(
                        f"{self._title}: {column.name} has a null among its items, which Avro's long forbids"
                    )
                offsets = np.asarray(array.offsets).astype(np.int64)
                items = np.asarray(array.values.fill_null(0), np.int64)
                cells.values[index] = offsets[:-1] + long_base
                cells.lengths[index] = np.diff(offsets)
                longs.append(items)
                long_base += items.shape[0]
            else:
                cells.values[index] = _bits(column, array)
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
        return PackedValues.from_bounds(out, ends)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The matrices that the compiled loops fill and read. Each has the shape [columns, records]."""

    values: Ints
    """A number's 64 bits, or where a string or an array begins."""
    lengths: Ints
    """Bytes of a string, items of an array."""
    valid: Bools
    """False for null."""

    @staticmethod
    def empty(columns: int, records: int) -> _Cells:
        shape = (columns, records)
        return _Cells(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.bool_))

    def select_rows(self, rows: Ints) -> _Cells:
        return _Cells(self.values[:, rows], self.lengths[:, rows], self.valid[:, rows])


def _misframed(index: int, value: bytes) -> Rejected:
    if not value:
        return Rejected(index, Reason.EMPTY, "the value is empty")
    if value[0] != wire_format.MAGIC:
        return Rejected(index, Reason.MAGIC, f"the first byte is 0x{value[0]:02x}, not 0x00")
    return Rejected(index, Reason.TRUNCATED, f"{len(value)} bytes are fewer than the header's {HEADER_SIZE}")


def _to_arrow(column: Column, cells: _Cells, index: int, data: npt.NDArray[np.uint8]) -> pa.Array:
    values, valid = cells.values[index], cells.valid[index]
    count = values.shape[0]
    nulls = 0 if valid.all() else count - int(np.count_nonzero(valid))
    validity = pa.py_buffer(np.packbits(valid, bitorder="little")) if nulls else None
    if column.kind in (STRING, LONGS):
        lengths = np.where(valid, cells.lengths[index], 0) if nulls else cells.lengths[index]
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
    """[rows] Each value as 64 bits; arbitrary bits where the value is null."""
    if column.kind == BOOLEAN:
        return np.asarray(array.cast(pa.int8()).fill_null(0)).astype(np.int64)
    width = np.dtype(np.int32) if column.kind == INT else np.dtype(np.int64)
    buffer = np.frombuffer(array.buffers()[1], width)
    return buffer[array.offset : array.offset + len(array)].astype(np.int64, copy=False)


def _string_buffers(array: pa.Array) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """The offsets, [rows + 1], and the bytes that they index."""
    _, offsets, data = array.buffers()
    if offsets is None or len(array) == 0:
        return np.zeros(len(array) + 1, np.int64), np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    text = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return bounds, text

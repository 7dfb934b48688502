"""Columns as text, a whole batch at once: JSON lines and lines of CSV.

A double always has a decimal point or an exponent: a reader that infers types from the first rows would take a column
that begins with whole numbers for integers, and lose the fractions after them.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from taskstream.schemas.terminal_text import terminal_json

_CONTROL = "[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]"
"""Control and format characters, and the separators of lines and paragraphs."""
_WHOLE = "^-?[0-9]+$"
_FIRST_S, _END_S = -62_135_596_800, 253_402_300_800
"""The years 1 to 9999 in seconds since 1970: what ISO 8601 and its readers know."""
_FORMULA = "^[=+\\-@\t\r]"
"""What makes a spreadsheet read a cell as a formula."""


def json_lines(batch: pa.RecordBatch) -> pa.Buffer:
    """The batch as UTF-8, one JSON object per row.

    Times are ISO 8601 in UTC; NaN, infinity and times outside of the years 1 to 9999 are null.
    """
    parts: list[pa.Array | pa.Scalar] = []
    for index, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        parts += [pa.scalar(f"{',' if index else '{'}{json.dumps(name)}:"), _json(column)]
    return _bytes_of(pc.binary_join_element_wise(*parts, pa.scalar("}\n"), pa.scalar("")))


def csv_header(schema: pa.Schema) -> bytes:
    """The first line of a CSV file: the names of the columns, in quotes."""
    return ",".join(f'"{name}"' for name in schema.names).encode() + b"\n"


def csv_lines(batch: pa.RecordBatch) -> pa.Buffer:
    """The batch as UTF-8, one line of CSV per row (RFC 4180). Text is in quotes, null is empty, infinity is inf."""
    parts: list[pa.Array | pa.Scalar] = []
    for index, column in enumerate(batch.columns):
        parts += [pa.scalar("," if index else ""), _csv(column)]
    return _bytes_of(pc.binary_join_element_wise(*parts, pa.scalar("\n"), pa.scalar("")))


def _bytes_of(lines: pa.Array) -> pa.Buffer:
    _, offsets, text = lines.buffers()
    ends = memoryview(offsets).cast("i")
    first = lines.offset
    return text.slice(ends[first], ends[first + len(lines)] - ends[first])


def flat(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same batch with lists as text, such as [1,2,3]."""
    columns = [_items(each) if pa.types.is_list(each.type) else each for each in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def with_spreadsheet_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same batch with times as spreadsheets take them for dates: 2026-11-23 08:00:00.000 in UTC, cut to ms."""
    columns = [
        pc.utf8_slice_codeunits(_time(each), 0, 23) if pa.types.is_timestamp(each.type) else each
        for each in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def without_formulas(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same batch with an apostrophe before each text that a spreadsheet would read as a formula."""
    columns = [_harmless(each) if pa.types.is_string(each.type) else each for each in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _harmless(column: pa.Array) -> pa.Array:
    formulas = pc.match_substring_regex(column, _FORMULA)
    if not pc.any(formulas).as_py():
        return column
    return pc.if_else(formulas, pc.binary_join_element_wise(pa.scalar("'"), column, pa.scalar("")), column)


def _json(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_string(kind):
        text = _quoted(column)
    elif pa.types.is_timestamp(kind):
        dated = pc.replace_substring(_time(column), " ", "T")
        text = pc.binary_join_element_wise(pa.scalar('"'), dated, pa.scalar('Z"'), pa.scalar(""))
    elif pa.types.is_list(kind):
        text = _items(column)
    elif pa.types.is_floating(kind):
        text = pc.if_else(pc.is_finite(column), _double(column), pa.scalar(None, pa.string()))
    else:
        text = column.cast(pa.string())
    return text.fill_null("null")


def _csv(column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_string(kind):
        doubled = pc.replace_substring(column, '"', '""')
        text = pc.binary_join_element_wise(pa.scalar('"'), doubled, pa.scalar('"'), pa.scalar(""))
    elif pa.types.is_timestamp(kind):
        text = pc.binary_join_element_wise(_time(column), pa.scalar("Z"), pa.scalar(""))
    else:
        text = _double(column) if pa.types.is_floating(kind) else column.cast(pa.string())
    return text.fill_null("")


def _time(column: pa.Array) -> pa.Array:
    """As 2026-11-23 08:00:00.000000 in UTC; null outside of the years 1 to 9999."""
    per_s = {"s": 1, "ms": 1_000, "us": 1_000_000}[column.type.unit]
    number = column.cast(pa.int64())
    inside = pc.and_(pc.greater_equal(number, _FIRST_S * per_s), pc.less(number, _END_S * per_s))
    known = pc.if_else(inside, number, pa.scalar(None, pa.int64()))
    return known.cast(pa.timestamp(column.type.unit)).cast(pa.string())


def _double(column: pa.Array) -> pa.Array:
    text = column.cast(pa.string())
    whole = pc.match_substring_regex(text, _WHOLE)
    return pc.if_else(whole, pc.binary_join_element_wise(text, pa.scalar(".0"), pa.scalar("")), text)


def _quoted(column: pa.Array) -> pa.Array:
    text = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
    control = pc.match_substring_regex(column, _CONTROL)
    if pc.any(control).as_py():
        rare = [terminal_json(each)[1:-1] for each in column.filter(control).to_pylist()]
        text = pc.replace_with_mask(text, control, pa.array(rare, pa.string()))
    return pc.binary_join_element_wise(pa.scalar('"'), text, pa.scalar('"'), pa.scalar(""))


def _items(column: pa.Array) -> pa.Array:
    values = column.values
    items = _double(values) if pa.types.is_floating(values.type) else values.cast(pa.string())
    texts = pa.ListArray.from_arrays(column.offsets, items)
    return pc.binary_join_element_wise(pa.scalar("["), pc.binary_join(texts, ","), pa.scalar("]"), pa.scalar(""))

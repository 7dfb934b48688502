"""Cuts the fields that no column supports out of a record's bytes, so that a reader need not know their types.

Avro resolves a writer's field that the reader lacks by skipping it, whatever its type is. The compiled loops know plain
types; a record with others is cut here first, in Python. It decodes no values.
https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from taskstream.schemas.catalog import Schema
from taskstream.schemas.codec.read_plan import ReadPlan
from taskstream.schemas.codec.record_validation import LONG_BOUND, RecordCursor
from taskstream.schemas.codec.wire_format import HEADER_SIZE, Reason
from taskstream.schemas.errors import Undecodable, Unresolvable

_DEEPEST = 64
"""Types within types, of a schema that contains itself."""
_Skip = Callable[[RecordCursor, int], None]
"""Moves the cursor after one value; the second argument is how deep in other values it is."""
_FIXED_SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}


class FieldCutter:
    """Cuts the fields `names` out of records of `schema`.

    Raises:
        Unresolvable: the schema has a type that Avro does not know.
    """

    def __init__(self, schema: Schema, names: Collection[str]) -> None:
        definition = schema.definition
        types = _Types(schema.title)
        self._fields = [(each["name"] not in names, types.skip_of(each["type"])) for each in definition["fields"]]

    def cut(self, framed: bytes) -> bytes:
        """The framed record without the fields.

        Raises:
            Undecodable: the record ends within a field, or a length, count, union branch or depth is out of range.
        """
        cursor = RecordCursor(framed)
        kept = [framed[:HEADER_SIZE]]
        for index, (is_kept, skip) in enumerate(self._fields):
            cursor.field = index
            begin = cursor.at
            skip(cursor, 0)
            if is_kept:
                kept.append(framed[begin : cursor.at])
        return b"".join([*kept, framed[cursor.at :]])


def cutter_for(written: Schema, plan: ReadPlan) -> FieldCutter:
    """The cutter of the fields that `plan` leaves out.

    Raises:
        Undecodable: the schema has a type that Avro does not know.
    """
    try:
        return FieldCutter(written, plan.cut)
    except (Unresolvable, KeyError, TypeError) as error:
        raise Undecodable(Reason.UNRESOLVABLE, f"{written.title} has an invalid type: {error}") from error


class _Types:
    """Compiles the types of one schema; remembers those with a name."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._named: dict[str, _Skip] = {}

    def skip_of(self, avro_type: Any) -> _Skip:
        if isinstance(avro_type, list):
            return _union([self.skip_of(each) for each in avro_type])
        if isinstance(avro_type, str):
            return self._of_name(avro_type)
        kind = avro_type.get("type") if isinstance(avro_type, dict) else None
        if kind == "array":
            return _blocks(self.skip_of(avro_type["items"]))
        if kind == "map":
            value = self.skip_of(avro_type["values"])
            return _blocks(_in_order([_bytes, value]))
        if kind == "enum":
            return self._keep(avro_type, _enum(len(avro_type["symbols"])))
        if kind == "fixed":
            return self._keep(avro_type, _fixed(avro_type["size"]))
        if kind == "record":
            parts: list[_Skip] = []
            skip = self._keep(avro_type, _in_order(parts))  # first: its fields may be of its own type
            parts += [self.skip_of(each["type"]) for each in avro_type["fields"]]
            return skip
        return self.skip_of(kind)

    def _of_name(self, name: str) -> _Skip:
        if name in ("int", "long"):
            return _varint
        if name in ("bytes", "string"):
            return _bytes
        if name in _FIXED_SIZES:
            return _fixed(_FIXED_SIZES[name])
        known = self._named.get(name.rpartition(".")[2])
        if known is None:
            raise Unresolvable(f"{self._title}: {name!r} is not a type")
        return known

    def _keep(self, avro_type: dict[str, Any], skip: _Skip) -> _Skip:
        self._named[avro_type["name"].rpartition(".")[2]] = skip
        return skip


def _varint(cursor: RecordCursor, _depth: int) -> None:
    cursor.read_varint()


def _bytes(cursor: RecordCursor, _depth: int) -> None:
    length = cursor.read_varint()
    if length < 0:
        raise cursor.error(Reason.INVALID, f"a string has the length {length}")
    cursor.read_bytes(length)


def _fixed(size: int) -> _Skip:
    def skip(cursor: RecordCursor, _depth: int) -> None:
        cursor.read_bytes(size)

    return skip


def _enum(symbols: int) -> _Skip:
    def skip(cursor: RecordCursor, _depth: int) -> None:
        if not 0 <= (symbol := cursor.read_varint()) < symbols:
            raise cursor.error(Reason.INVALID, f"the enum symbol is {symbol}, not 0 to {symbols - 1}")

    return skip


def _union(branches: list[_Skip]) -> _Skip:
    def skip(cursor: RecordCursor, depth: int) -> None:
        if not 0 <= (branch := cursor.read_varint()) < len(branches):
            raise cursor.error(Reason.INVALID, f"the union branch is {branch}, not 0 to {len(branches) - 1}")
        branches[branch](cursor, depth)

    return skip


def _in_order(parts: list[_Skip]) -> _Skip:
    def skip(cursor: RecordCursor, depth: int) -> None:
        if depth >= _DEEPEST:
            raise cursor.error(Reason.INVALID, f"records are nested more than {_DEEPEST} deep")
        for each in parts:
            each(cursor, depth + 1)

    return skip


def _blocks(item: _Skip) -> _Skip:
    """Arrays and maps: blocks of a count and that many items, ended by a count of 0."""

    def skip(cursor: RecordCursor, depth: int) -> None:
        if depth >= _DEEPEST:
            raise cursor.error(Reason.INVALID, f"arrays are nested more than {_DEEPEST} deep")
        while count := cursor.read_varint():
            end = None
            if count < 0:
                size = cursor.read_varint()
                if size < 0 or count == -LONG_BOUND:
                    raise cursor.error(Reason.INVALID, f"an array block has the count {count} and the size {size}")
                count, end = -count, cursor.at + size
            if count > cursor.left:
                what = f"an array block has {count} items and {cursor.left} bytes are left"
                raise cursor.error(Reason.TRUNCATED, what)
            for _ in range(count):
                item(cursor, depth + 1)
            if end not in (None, cursor.at):
                raise cursor.error(Reason.INVALID, f"an array block ends at {cursor.at}, its size says {end}")

    return skip

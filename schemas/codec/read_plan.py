"""How to read one written schema as the newest one: for each written field its kind on the wire and its column.

It decides once a schema what the loops in `loops` then do once a record. It touches no bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from taskstream.schemas.catalog import Schema
from taskstream.schemas.codec.wire_format import Reason
from taskstream.schemas.errors import Undecodable, UnknownSchema, Unresolvable
from taskstream.schemas.ids import SchemaIds

INT: Final = 0
LONG: Final = 1
DOUBLE: Final = 2
BOOLEAN: Final = 3
STRING: Final = 4
LONGS: Final = 5
"""An array of longs."""
FLOAT: Final = 6

_KINDS = {"int": INT, "long": LONG, "double": DOUBLE, "boolean": BOOLEAN, "string": STRING, "float": FLOAT}
_ARROW: dict[int, pa.DataType] = {
    INT: pa.int32(),
    LONG: pa.int64(),
    DOUBLE: pa.float64(),
    BOOLEAN: pa.bool_(),
    STRING: pa.string(),
    LONGS: pa.list_(pa.int64()),
    FLOAT: pa.float64(),
}
NOT_NULLABLE: Final = -1
SKIP: Final = -1


@dataclass(frozen=True, slots=True)
class Column:
    """One field of the schema that is read to: its name, kind, whether it may be null, and its Arrow type."""

    name: str
    kind: int
    nullable: bool
    arrow: pa.DataType


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Arrays of one entry a written field, in the order of the wire."""

    kinds: npt.NDArray[np.int64]
    null_branches: npt.NDArray[np.int64]
    """Which branch of the union is null (0 or 1), or NOT_NULLABLE."""
    columns: npt.NDArray[np.int64]
    """Which column it goes to, or SKIP."""
    to_double: npt.NDArray[np.bool_]
    """Whether an integer on the wire is read as a double."""


def columns_of(schema: Schema, wanted: frozenset[str] | None = None) -> tuple[Column, ...]:
    """The columns of a schema, in its order; only the wanted ones when they are named.

    Raises:
        Unresolvable: the schema has a type that no column holds, or a wanted name is none of its fields.
    """
    found = tuple(_column(schema, each) for each in schema.definition["fields"])
    if wanted is None:
        return found
    if missing := wanted - {column.name for column in found}:
        raise Unresolvable(f"{schema.title} has no field {', '.join(sorted(missing))}")
    return tuple(column for column in found if column.name in wanted)


def plan_for(ids: SchemaIds, schema_id: int, name: str, columns: tuple[Column, ...]) -> tuple[Schema, ReadPlan]:
    """The schema that an id on the wire means, and how its records become columns of the newest schema of `name`.

    Raises:
        Undecodable: no schema has this id, or it is one of another record, or it cannot be read as these columns.
        RegistryFailed: the id could not be looked up.
    """
    try:
        written = ids.schema_of(schema_id)
        if written.name != name:
            raise Undecodable(Reason.OTHER_RECORD, f"{written.name} where {name} is expected")
        return written, read_plan(written, columns)
    except UnknownSchema as error:
        raise Undecodable(Reason.UNKNOWN_SCHEMA, str(error)) from error
    except Unresolvable as error:
        raise Undecodable(Reason.UNRESOLVABLE, str(error)) from error


def read_plan(written: Schema, columns: tuple[Column, ...]) -> ReadPlan:
    """How records of `written` become `columns`. A column that it does not write must be nullable, and is null.

    Raises:
        Unresolvable: the written schema cannot be read so.
    """
    places = {column.name: place for place, column in enumerate(columns)}
    fields = [_column(written, each, reading=True) for each in written.definition["fields"]]
    branches = [_null_branch(each["type"]) for each in written.definition["fields"]]
    names = {each.name for each in fields}
    for column in columns:
        if column.name not in names and not column.nullable:
            raise Unresolvable(f"{written.title} (as written) has no {column.name}, which has no default")
    for each in fields:
        if each.name in places:
            _check_readable(written, each, columns[places[each.name]])
    return ReadPlan(
        kinds=np.array([each.kind for each in fields], np.int64),
        null_branches=np.array(branches, np.int64),
        columns=np.array([places.get(each.name, SKIP) for each in fields], np.int64),
        to_double=np.array(
            [
                each.kind in (INT, LONG) and each.name in places and columns[places[each.name]].kind == DOUBLE
                for each in fields
            ],
            np.bool_,
        ),
    )


def _check_readable(written: Schema, field: Column, column: Column) -> None:
    promoted = {(INT, LONG), (INT, DOUBLE), (LONG, DOUBLE), (FLOAT, DOUBLE)}
    if field.kind != column.kind and (field.kind, column.kind) not in promoted:
        raise Unresolvable(f"{written.title} (as written) has another type for {field.name}")
    if field.nullable and not column.nullable:
        raise Unresolvable(f"{written.title} (as written) may have null for {field.name}, which cannot be null")


def _column(schema: Schema, field: dict[str, Any], *, reading: bool = False) -> Column:
    avro_type = field["type"]
    nullable = _null_branch(avro_type) != NOT_NULLABLE
    if nullable:
        avro_type = next(branch for branch in avro_type if branch != "null")
    logical = avro_type.get("logicalType") if isinstance(avro_type, dict) else None
    if isinstance(avro_type, dict) and avro_type.get("type") == "array" and avro_type.get("items") == "long":
        kind = LONGS
    else:
        name = avro_type["type"] if isinstance(avro_type, dict) else avro_type
        if not isinstance(name, str) or name not in _KINDS or (nullable and isinstance(avro_type, list)):
            raise Unresolvable(f"{schema.title}: no column holds the type of {field['name']}: {field['type']}")
        kind = _KINDS[name]
    if nullable and kind == LONGS:
        raise Unresolvable(f"{schema.title}: {field['name']} is an array that may be null, which no column holds")
    if kind == FLOAT and not reading:
        raise Unresolvable(f"{schema.title}: {field['name']} is a float; write double")
    timestamp = kind == LONG and logical == "timestamp-micros"
    return Column(field["name"], kind, nullable, pa.timestamp("us", "UTC") if timestamp else _ARROW[kind])


def _null_branch(avro_type: Any) -> int:
    if isinstance(avro_type, list) and len(avro_type) == 2 and "null" in avro_type:
        return avro_type.index("null")
    return NOT_NULLABLE

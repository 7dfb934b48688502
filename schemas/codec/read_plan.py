"""Resolves a writer's schema to the newest schema of the record: the wire type and the column of each written field.

It is computed once per schema; the loops in `column_loops` apply it to each record. It touches no bytes.
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
    """One field of a schema: its name, kind (INT to FLOAT), whether it is nullable, and its Arrow type."""

    name: str
    kind: int
    nullable: bool
    arrow: pa.DataType
    is_optional: bool
    """Whether a writer's schema may lack it: its rows are null then, or empty arrays."""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How to decode one writer's schema. Every array has one entry per written field, in the order of the schema."""

    kinds: npt.NDArray[np.int64]
    null_branches: npt.NDArray[np.int64]
    """The index of null in the field's union (0 or 1), or NOT_NULLABLE."""
    columns: npt.NDArray[np.int64]
    """The index of the column that receives the field, or SKIP."""
    to_double: npt.NDArray[np.bool_]
    """Whether an int or long on the wire is promoted to double."""
    cut: frozenset[str] = frozenset()
    """Fields that no column receives and none could: a `FieldCutter` cuts them out, and the arrays leave them out."""


def columns_of(schema: Schema, wanted: frozenset[str] | None = None) -> tuple[Column, ...]:
    """The columns of a schema, in the order of its fields; only the fields in `wanted` if it is given.

    Raises:
        Unresolvable: a field has a type without a column type, or `wanted` names a field that does not exist.
    """
    found = tuple(_column(schema, each) for each in schema.definition["fields"])
    if wanted is None:
        return found
    if missing := wanted - {column.name for column in found}:
        raise Unresolvable(
            f"{schema.title} has no field {', '.join(sorted(missing))}; it has {', '.join(each.name for each in found)}"
        )
    return tuple(column for column in found if column.name in wanted)


def plan_for(ids: SchemaIds, schema_id: int, name: str, columns: tuple[Column, ...]) -> tuple[Schema, ReadPlan]:
    """The schema with this id, and the plan that decodes its records into `columns`.

    Raises:
        Undecodable: no schema has this id, or the schema is of another record, or it cannot be read as `columns`.
        RegistryFailed: the id had to be looked up and the registry did not answer.
    """
    try:
        written = ids.schema_of(schema_id)
        if written.name != name:
            raise Undecodable(Reason.OTHER_RECORD, f"schema id {schema_id} is {written.name}, not {name}")
        return written, read_plan(written, columns)
    except UnknownSchema as error:
        raise Undecodable(Reason.UNKNOWN_SCHEMA, str(error)) from error
    except Unresolvable as error:
        raise Undecodable(Reason.UNRESOLVABLE, str(error)) from error


def read_plan(written: Schema, columns: tuple[Column, ...]) -> ReadPlan:
    """The plan that decodes records of `written` into `columns`. A column that `written` lacks is null or empty.

    A field that no column receives may have any type.

    The rules are those of Avro's schema resolution, without default values other than null and the empty array:
    https://avro.apache.org/docs/1.12.0/specification/#schema-resolution

    Raises:
        Unresolvable: a column that is not optional is missing in `written`, or a type cannot be promoted.
    """
    indexes = {column.name: index for index, column in enumerate(columns)}
    definitions = written.definition["fields"]
    cut = frozenset(each["name"] for each in definitions if each["name"] not in indexes and not _fits(written, each))
    kept = [each for each in definitions if each["name"] not in cut]
    fields = [_column(written, each, reading=True) for each in kept]
    branches = [_null_branch(each["type"]) for each in kept]
    names = {each.name for each in fields}
    for column in columns:
        if column.name not in names and not column.is_optional:
            raise Unresolvable(f"{written.title} (as written) has no field {column.name}, which has no default")
    for each in fields:
        if each.name in indexes:
            _check_readable(written, each, columns[indexes[each.name]])
    return ReadPlan(
        kinds=np.array([each.kind for each in fields], np.int64),
        null_branches=np.array(branches, np.int64),
        columns=np.array([indexes.get(each.name, SKIP) for each in fields], np.int64),
        to_double=np.array(
            [
                each.kind in (INT, LONG) and each.name in indexes and columns[indexes[each.name]].kind == DOUBLE
                for each in fields
            ],
            np.bool_,
        ),
        cut=cut,
    )


def _fits(written: Schema, field: dict[str, Any]) -> bool:
    """Whether the loops can skip the field."""
    try:
        _column(written, field, reading=True)
    except Unresolvable:
        return False
    return True


def _check_readable(written: Schema, field: Column, column: Column) -> None:
    promoted = {(INT, LONG), (INT, DOUBLE), (LONG, DOUBLE), (FLOAT, DOUBLE)}
    if field.kind != column.kind and (field.kind, column.kind) not in promoted:
        raise Unresolvable(f"{written.title} (as written) has another type for {field.name}")
    if field.nullable and not column.nullable:
        raise Unresolvable(f"{written.title} (as written) allows null for {field.name}, which is not nullable here")


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
            raise Unresolvable(f"{schema.title}: {field['name']} has a type that no column supports: {field['type']}")
        kind = _KINDS[name]
    if nullable and kind == LONGS:
        raise Unresolvable(f"{schema.title}: {field['name']} is a nullable array, which no column supports")
    if kind == FLOAT and not reading:
        raise Unresolvable(f"{schema.title}: {field['name']} is a float: declare it as double")
    timestamp = kind == LONG and logical == "timestamp-micros"
    arrow = pa.timestamp("us", "UTC") if timestamp else _ARROW[kind]
    return Column(field["name"], kind, nullable, arrow, nullable or (kind == LONGS and field.get("default") == []))


def _null_branch(avro_type: Any) -> int:
    if isinstance(avro_type, list) and len(avro_type) == 2 and "null" in avro_type:
        return avro_type.index("null")
    return NOT_NULLABLE

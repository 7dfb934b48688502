"""The description and unit of each column, as metadata of its Arrow field; Parquet files keep it.

Descriptions are those of the Avro schema. Units follow from the names, whose suffix is the unit.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from taskstream.schemas.catalog import newest

_UNITS: Mapping[str, str] = {
    "progress": "%",
    "replicatesize": "B",
    "totalsize": "B",
    "bytes": "B",
    "migrate_speed": "Mbit/s",
    "remain_time": "s",
    "total_cpu_usage": "%",
    "agent_cpu_usage": "%",
    "total_mem_usage": "MB",
    "agent_mem_usage": "MB",
    "total_disk_io": "Mbit/s",
    "agent_disk_io": "Mbit/s",
}
_UNITS_BY_SUFFIX: Mapping[str, str] = {
    "_bytes": "B",
    "_bps": "B/s",
    "_s2": "s2",
    "_s": "s",
    "_pct": "%",
}
_POSITION = {
    "partition": "The partition of the record.",
    "offset": "The offset of the record in its partition.",
    "timestamp": "The record's timestamp; of a report, when the edge received it.",
}


def described(schema: pa.Schema, record: str) -> pa.Schema:
    """The schema with `description` and, where there is one, `unit` in each field's metadata.

    record: the name of the Avro record that the columns are of.
    """
    docs = {each["name"]: each.get("doc", "") for each in newest(record).definition["fields"]}
    return pa.schema([_described(each, {**_POSITION, **docs}.get(each.name, "")) for each in schema])


def unit_of(field: pa.Field) -> str | None:
    """The unit of a column; None for texts, counts and ratios."""
    if pa.types.is_timestamp(field.type):
        return f"{field.type.unit} since 1970-01-01 UTC"
    if field.name in _UNITS:
        return _UNITS[field.name]
    return next((unit for suffix, unit in _UNITS_BY_SUFFIX.items() if field.name.endswith(suffix)), None)


def _described(field: pa.Field, doc: str) -> pa.Field:
    unit = unit_of(field)
    return field.with_metadata({"description": doc} | ({} if unit is None else {"unit": unit}))

"""Which small files of a folder are merged into one, and the merged rows. The store commits the exchange.

Files are merged in tiers, each eight times as large as the one before: a row is written again at most once per tier.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

FAN_IN = 8
"""How many files of a tier become one."""
SMALLEST = 256 << 10
"""The end of the first tier, in bytes."""
LARGEST = 128 << 20
"""A file of this size is merged no more."""
GROUP_ROWS = 200_000
_GROUP_BYTES = 64 << 20


def files_to_merge(sizes: Mapping[str, int]) -> list[str]:
    """The files that are to become one, in the order of their names; [] if none are. sizes: [name] bytes."""
    tiers: dict[int, list[str]] = defaultdict(list)
    for name, size in sorted(sizes.items()):
        if size < LARGEST:
            tiers[_tier(size)].append(name)
    return next((tiers[tier][:FAN_IN] for tier in sorted(tiers) if len(tiers[tier]) >= FAN_IN), [])


def merged(files: Sequence[Any]) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """The schema and the rows of these `ParquetFile`s, in tables of a row group's size.

    A file of an older release lacks the columns that are newer: they are null.
    """
    schema = pa.unify_schemas([each.schema_arrow.remove_metadata() for each in reversed(files)])
    return schema, _tables(files, schema)


def _tables(files: Sequence[Any], schema: pa.Schema) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    for file in files:
        for batch in file.iter_batches(GROUP_ROWS):
            held.append(_with_all(pa.Table.from_batches([batch]), schema))
            if sum(each.num_rows for each in held) >= GROUP_ROWS or sum(each.nbytes for each in held) >= _GROUP_BYTES:
                yield pa.concat_tables(held)
                held.clear()
    if held:
        yield pa.concat_tables(held)


def _with_all(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[each.name] if each.name in table.schema.names else pa.nulls(table.num_rows, each.type) for each in schema
    ]
    return pa.table(columns, schema=schema)


def _tier(size: int) -> int:
    return 0 if size < SMALLEST else math.floor(math.log(size / SMALLEST, FAN_IN)) + 1

"""The parameter type that names a record of a topic: PARTITION:OFFSET."""

from __future__ import annotations

from typing import Any

import click


class _PartitionOffset(click.ParamType[tuple[int, int]]):
    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        partition, colon, offset = str(value).partition(":")
        if not (colon and partition.isascii() and partition.isdecimal() and offset.isascii() and offset.isdecimal()):
            self.fail(f"{value!r} is not PARTITION:OFFSET, such as 3:17", param, ctx)
        return int(partition), int(offset)


PARTITION_OFFSET = _PartitionOffset()

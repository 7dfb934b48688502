"""The report that nearly every body is, parsed in one pass by compiled code: it accepts or passes, and refuses nothing.

Whatever this accepts, `ProgressReport` accepts with the same values; a test with generated bodies holds both together.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from taskstream.schemas.subtasks import SUBTASKS

_Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Rate = Annotated[float, Meta(ge=0, le=10_000)]

_Number = Annotated[float, Meta(ge=-1e15, le=1e15)]
"""Versions of pydantic differ in whether an integer near 2^63 is a float."""


class PlainReport(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """The fields of `ProgressReport`, with the same bounds or narrower ones, and without unknown fields."""

    subtask_name: Literal[SUBTASKS]  # type: ignore[valid-type] # a tuple of texts, which is what Literal takes at run time
    progress: Annotated[int, Meta(ge=0, le=100)]
    replicatesize: _Size
    totalsize: _Size
    process_trace: Annotated[str, Meta(max_length=2048)]
    migrate_speed: _Rate | None = None
    compress_rate: _Rate | None = None
    remain_time: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    total_cpu_usage: _Number | None = None
    agent_cpu_usage: _Number | None = None
    total_mem_usage: _Number | None = None
    agent_mem_usage: _Number | None = None
    total_disk_io: _Number | None = None
    agent_disk_io: _Number | None = None
    need_migration_test: bool | None = None
    agent_time: Annotated[str, Meta(max_length=255)] | None = None

    unknown_names: ClassVar[tuple[str, ...]] = ()


_decode: Final = msgspec.json.Decoder(PlainReport).decode


def plain_report(body: bytes) -> PlainReport | None:
    """The report of a request body; None: `ProgressReport` must decide, and say what is wrong if anything is."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None

"""In which folder of a lake a record is: by the UTC day of its own time and by its project, in Hive's spelling.

The folder's keys are `day` and `project`. The column `project_id` stays in the file: a reader that guesses the types of
folder names takes a project 0012 for a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

TIME_COLUMNS = {"ProgressReported": "received_at", "RateWindow": "window_start", "SignalRaised": "raised_at"}
"""[name of the Avro record] The time whose day counts."""
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""Hive's name for null: readers find null in place of the key."""
DAY_US = 86_400_000_000
FIRST_DAY, END_DAY = -719_162, 2_932_897
"""The days of the years 1 to 9999, counted from 1970-01-01."""
_SPECIAL = re.compile(r"""[\x00-\x20\x7f"#%'*/:=?\\{}\[\]^]""")
_LONGEST = 200
"""Bytes of a project in a folder's name: file systems take 255."""


def by_day_and_project(table: pa.Table, time_column: str) -> Iterator[tuple[str, pa.Table]]:
    """The folders, such as day=2026-11-26/project=p, each with its rows in their order.

    table: has the columns `project_id` (string) and `time_column` (timestamp in us, UTC), without nulls.
    """
    if not table.num_rows:
        return
    days = np.floor_divide(table[time_column].cast(pa.int64()).to_numpy(), DAY_US)
    projects = table["project_id"].combine_chunks().dictionary_encode()
    codes = projects.indices.to_numpy()
    order = np.lexsort((codes, days))
    days, codes = days[order], codes[order]
    begins = np.flatnonzero(np.r_[True, (days[1:] != days[:-1]) | (codes[1:] != codes[:-1])])
    ends = [*begins[1:].tolist(), len(days)]
    ordered = table.take(pa.array(order))
    for begin, end in zip(begins.tolist(), ends, strict=True):
        project = projects.dictionary[int(codes[begin])].as_py()
        yield f"day={_day(int(days[begin]))}/project={_project(project)}", ordered.slice(begin, end - begin)


def _day(number: int) -> str:
    """A day of no calendar is null: readers know the years 1 to 9999."""
    return str(np.datetime64(number, "D")) if FIRST_DAY <= number < END_DAY else NO_VALUE


def _project(project_id: str) -> str:
    """Percent-encoded where Hive does so; null if it is empty or too long for a folder."""
    text = _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", project_id)
    return text if text and len(text.encode()) <= _LONGEST else NO_VALUE

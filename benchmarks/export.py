"""The export of a prepared topic: all columns and three columns to Parquet, all columns to CSV."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.commands import cost_of, print_cost
from benchmarks.local import prepared

SECTION = "export"
EVENTS = int(os.environ.get("TASKSTREAM_BENCH_EVENTS", "5000000"))
SERIES = 20_000


def run() -> None:
    with prepared(EVENTS, SERIES) as where, tempfile.TemporaryDirectory() as folder:
        few = ("--column", "task_id", "--column", "received_at", "--column", "replicatesize")
        cost_of(
            "export", "-o", str(Path(folder) / "none.parquet"), "--to", "earliest", *where
        )  # compiles the loops if they are not cached
        for what, name, more in (
            ("Parquet, all columns", "all.parquet", ()),
            ("Parquet, three columns", "few.parquet", few),
            ("CSV, all columns", "all.csv", ()),
        ):
            path = Path(folder) / name
            cost = cost_of("export", "-o", str(path), *more, *where)
            print_cost(f"{what} ({path.stat().st_size >> 20} MiB)", EVENTS, cost)
            path.unlink()

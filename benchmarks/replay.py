"""Replay over a prepared topic: fold the state, rebuild it on an empty topic, compare it, and copy the records."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.commands import cost_of, print_cost
from benchmarks.local import prepared

SECTION = "replay"
EVENTS = int(os.environ.get("TASKSTREAM_BENCH_EVENTS", "5000000"))
SERIES = 20_000


def run() -> None:
    with prepared(EVENTS, SERIES) as where, tempfile.TemporaryDirectory() as folder:
        cost_of("replay", "state", "--as-of", "earliest", *where)  # compiles the loops if they are not cached
        print_cost("state: fold of all events", EVENTS, cost_of("replay", "state", "--as-of", "latest", *where))
        rebuilt = cost_of("replay", "rebuild", "--until", "latest", "--execute", *where)
        print_cost("rebuild: fold and write", EVENTS, rebuilt)
        print_cost("diff: fold and compare", EVENTS, cost_of("replay", "diff", *where))
        copied = cost_of("replay", "copy", "--to-file", str(Path(folder) / "records"), "--execute", *where)
        print_cost("copy to a file, record by record", EVENTS, copied)

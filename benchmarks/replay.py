"""Replay over a prepared topic: the state folded, written anew where none was, compared, and the records copied."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.commands import cost_of, tell
from benchmarks.local import prepared

SECTION = "replay"
EVENTS = int(os.environ.get("TASKSTREAM_BENCH_EVENTS", "5000000"))
SERIES = 20_000


def run() -> None:
    with prepared(EVENTS, SERIES) as where, tempfile.TemporaryDirectory() as folder:
        cost_of("replay", "state", "--as-of", "earliest", *where)  # compiles, if something has changed
        tell("state, all of it folded", EVENTS, cost_of("replay", "state", "--as-of", "latest", *where))
        rebuilt = cost_of("replay", "rebuild", "--until", "latest", "--execute", *where)
        tell("rebuild, folded and written", EVENTS, rebuilt)
        tell("diff, folded and compared", EVENTS, cost_of("replay", "diff", *where))
        copied = cost_of("replay", "copy", "--to-file", str(Path(folder) / "records"), "--execute", *where)
        tell("copy to a file, record by record", EVENTS, copied)

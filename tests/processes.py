"""What tests ask of processes: whether one lives, and whether something comes true in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not collected yet does not."""
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
    """Whether the condition comes true before the deadline, which is only there for a test that fails."""
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())

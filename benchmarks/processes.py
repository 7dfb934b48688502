"""The CPU time and memory of a process, from Linux's /proc."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def cpu_of(pid: int) -> float:
    """Seconds of CPU time of a process and its descendants."""
    total = 0
    for each in [pid, *descendants(pid)]:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    children = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # the thread has ended
            children += [int(each) for each in path.read_text().split()]
    return children + [each for child in children for each in descendants(child)]


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """The resident memory (VmRSS), or the peak of it (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))

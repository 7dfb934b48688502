"""One command over prepared events: its time, CPU and memory from its first instruction to its last, start included."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.processes import memory_mib
from benchmarks.worker_process import LOOK_S


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took."""

    seconds: float
    cpu_s: float
    peak_mib: int


def cost_of(*words: str) -> Cost:
    """Run `taskstream WORDS`, whose answer nobody reads, to its end; it must succeed."""
    began, peak_mib = time.monotonic(), 0.0
    running = subprocess.Popen([sys.executable, "-P", "-m", "taskstream", *words], stdout=subprocess.DEVNULL)
    while True:
        ended, status, used = os.wait4(running.pid, os.WNOHANG)
        if ended:
            break
        with contextlib.suppress(OSError, StopIteration):  # it ended since; ru_maxrss would tell our own peak too
            peak_mib = memory_mib(running.pid, "VmHWM")
        time.sleep(LOOK_S)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, f"{' '.join(words)} failed"
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, round(peak_mib))


def tell(what: str, events: int, cost: Cost) -> None:
    print(
        f"{what}: {events / cost.seconds:,.0f} events a second, {cost.cpu_s / events * 1e6:.2f} us CPU an event, "
        f"{cost.seconds:.1f} s, peak {cost.peak_mib} MiB",
        flush=True,
    )

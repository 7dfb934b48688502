"""Measures one command over prepared events: its time, CPU and memory, including its start."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.processes import memory_mib
from benchmarks.worker_process import POLL_S


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one command."""

    seconds: float
    cpu_s: float
    peak_mib: int


def cost_of(*words: str) -> Cost:
    """Run `taskstream WORDS` to its end and discard its output; it must succeed."""
    began, peak_mib = time.monotonic(), 0.0
    running = subprocess.Popen([sys.executable, "-P", "-m", "taskstream", *words], stdout=subprocess.DEVNULL)
    while True:
        ended, status, used = os.wait4(running.pid, os.WNOHANG)
        if ended:
            break
        with contextlib.suppress(OSError, StopIteration):  # it may have ended; ru_maxrss would include our own peak
            peak_mib = memory_mib(running.pid, "VmHWM")
        time.sleep(POLL_S)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, f"{' '.join(words)} failed"
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, round(peak_mib))


def print_cost(what: str, events: int, cost: Cost) -> None:
    print(
        f"{what}: {events / cost.seconds:,.0f} events per second, {cost.cpu_s / events * 1e6:.2f} us CPU per event, "
        f"{cost.seconds:.1f} s, peak {cost.peak_mib} MiB",
        flush=True,
    )

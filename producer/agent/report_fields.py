"""Converts measured progress to the fields, units and bounds of the API. It reads only this process's own usage."""

import math
import os
from datetime import UTC, datetime
from pathlib import Path

from taskstream.producer.agent.progress_meter import CopyProgress
from taskstream.producer.client.progress_client import Report
from taskstream.producer.clock import Clock

MAX_TRACE_CHARACTERS = 2048
MAX_SPEED_MBIT_S = 10_000.0
MAX_REMAIN_S = 2**31 - 1
_STATM = Path("/proc/self/statm")


class ProcessUsage:
    """CPU and memory usage of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._measured_s = clock.monotonic()
        self._cpu_s = _cpu_s()

    def cpu_percent(self) -> float | None:
        """CPU time since the last call, in percent of all processors; None if no time has passed."""
        now_s, cpu_s = self._clock.monotonic(), _cpu_s()
        span_s, used_s = now_s - self._measured_s, cpu_s - self._cpu_s
        self._measured_s, self._cpu_s = now_s, cpu_s
        if span_s <= 0:
            return None
        return round(max(0.0, min(100.0, 100 * used_s / span_s / (os.cpu_count() or 1))), 2)

    def memory_mb(self) -> float | None:
        """Resident memory in MB (1,000,000 bytes); None on a system without /proc."""
        # getrusage reports only the peak, and on Linux a process inherits its parent's.
        try:
            pages = int(_STATM.read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return None
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 3)


def to_report(progress: CopyProgress, usage: ProcessUsage, now: float) -> Report:
    """The report of this progress; `now` is in seconds since 1970 UTC. Figures that are unknown are None."""
    remaining_s = progress.remaining_s
    return Report(
        subtask_name=progress.subtask,
        progress=progress.percent,
        replicatesize=progress.bytes_done,
        totalsize=progress.bytes_total,
        process_trace=shortened(progress.activity, MAX_TRACE_CHARACTERS),
        migrate_speed=round(min(MAX_SPEED_MBIT_S, progress.speed_bps * 8 / 1e6), 3),
        remain_time=None if remaining_s is None else min(MAX_REMAIN_S, math.ceil(remaining_s)),
        agent_cpu_usage=usage.cpu_percent(),
        agent_mem_usage=usage.memory_mb(),
        agent_time=datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
    )


def shortened(text: str, longest: int) -> str:
    """The text with "..." in place of its middle if it has more than `longest` characters."""
    if len(text) <= longest:
        return text
    head = (longest - 3) // 2
    return f"{text[:head]}...{text[len(text) - (longest - 3 - head) :]}"


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system

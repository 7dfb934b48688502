"""From what the agent measures to what the API wants: units, bounds and names. Only the process itself is looked at."""

import math
import os
from datetime import UTC, datetime
from pathlib import Path

from taskstream.producer.agent.progress_meter import CopyProgress
from taskstream.producer.client.progress_client import Report
from taskstream.producer.clock import Clock

LONGEST_TRACE = 2048
MOST_MBIT_S = 10_000.0
MOST_REMAIN_S = 2**31 - 1
_STATM = Path("/proc/self/statm")


class ProcessUsage:
    """What this process has used since it was last asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked_s = clock.monotonic()
        self._cpu_s = _cpu_s()

    def cpu_percent(self) -> float | None:
        """Percent of the machine's processors since the last call; None when no time has passed."""
        now_s, cpu_s = self._clock.monotonic(), _cpu_s()
        span_s, used_s = now_s - self._asked_s, cpu_s - self._cpu_s
        self._asked_s, self._cpu_s = now_s, cpu_s
        if span_s <= 0:
            return None
        return round(max(0.0, min(100.0, 100 * used_s / span_s / (os.cpu_count() or 1))), 2)

    def memory_mb(self) -> float | None:
        """Resident memory now, in MB; None where the system does not tell."""
        # getrusage only knows the peak, and on Linux inherits it from whoever started us.
        try:
            pages = int(_STATM.read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return None
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 3)


def to_report(progress: CopyProgress, usage: ProcessUsage, now: float) -> Report:
    """The report of one moment; `now` is seconds since 1970. What was not measured is left out."""
    remaining_s = progress.remaining_s
    return Report(
        subtask_name=progress.subtask,
        progress=progress.percent,
        replicatesize=progress.bytes_done,
        totalsize=progress.bytes_total,
        process_trace=shortened(progress.doing, LONGEST_TRACE),
        migrate_speed=round(min(MOST_MBIT_S, progress.speed_bps * 8 / 1e6), 3),
        remain_time=None if remaining_s is None else min(MOST_REMAIN_S, math.ceil(remaining_s)),
        agent_cpu_usage=usage.cpu_percent(),
        agent_mem_usage=usage.memory_mb(),
        agent_time=datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
    )


def shortened(text: str, longest: int) -> str:
    """At most that many characters, with the middle left out: a path's ends tell most."""
    if len(text) <= longest:
        return text
    head = (longest - 3) // 2
    return f"{text[:head]}...{text[len(text) - (longest - 3 - head) :]}"


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system

"""Makes processes of a test run stand still for a moment, again and again: what a busy machine does, but often.

A test that needs a process to act within a time fails here soon; without stalls it fails seldom. A process that a test
stops itself may go on here before the test lets it: the failure of such a test shows nothing.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.run.watcher import Process, processes

LONGEST_S = 6.0
LONGEST_JAVA_S = 1.2
"""A broker that stands still for longer loses its sessions, which is another test."""
SPARED = ("watcher.py", "process_guard.py", "resource_tracker", "chrom")
"""Parts of command lines. Who cleans up goes on, and so does Chromium, whose processes end each other if one hangs."""
LIST_AGAIN_S = 0.5


class Stalls:
    """While it is open, stops about `per_s` processes of a run a second, each for up to LONGEST_S.

    A process runs for at least half of the time, and all run on the way out.
    """

    def __init__(self, run_id: str, per_s: float, seed: int) -> None:
        """`run_id` is in RUN_VARIABLE of the run's processes."""
        self.stopped = 0
        self._run_id = run_id
        self._per_s = per_s
        self._random = random.Random(seed)
        self._until_s: dict[int, float] = {}
        self._rests_until_s: dict[int, float] = {}
        self._known: list[Process] = []
        self._listed_s = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._end.wait(self._random.uniform(0.0, 2.0 / self._per_s)):
                now_s = time.monotonic()
                for pid in [pid for pid, until_s in self._until_s.items() if until_s <= now_s]:
                    self._resume(pid)
                self._stop_one(now_s)
        finally:
            for pid in list(self._until_s):
                self._resume(pid)

    def _stop_one(self, now_s: float) -> None:
        if now_s - self._listed_s > LIST_AGAIN_S:
            self._listed_s = now_s
            self._known = [each for each in processes(self._run_id) if not any(name in each.command for name in SPARED)]
        free = [
            each
            for each in self._known
            if self._rests_until_s.get(each.pid, now_s) <= now_s and state_of(each.pid) in ("R", "S")
        ]
        if not free:
            return
        chosen = self._random.choice(free)
        longest_s = LONGEST_JAVA_S if "java" in chosen.command.split(" ", 1)[0] else LONGEST_S
        with suppress(ProcessLookupError):
            os.kill(chosen.pid, signal.SIGSTOP)
            stall_s = self._random.uniform(0.2, longest_s)
            self._until_s[chosen.pid] = now_s + stall_s
            self._rests_until_s[chosen.pid] = now_s + 2 * stall_s
            self.stopped += 1

    def _resume(self, pid: int) -> None:
        del self._until_s[pid]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def state_of(pid: int) -> str:
    """The letter of the process's state in proc(5); empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""

"""Ends the process when a call does not return within its limit: some calls of librdkafka exceed their timeouts.

Its thread counts its own wake-ups instead of reading a clock, so the time in which the process was suspended does not
count. A supervisor starts the process again, and Kafka aborts the transaction that was open.
"""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Self

STUCK = 70
"""The exit code of a process that the watchdog ended (EX_SOFTWARE of sysexits.h)."""


class Watchdog:
    """`with Watchdog() as watchdog: with watchdog.watch("commit", limit_s=30): ...`."""

    def __init__(self, on_stuck: Callable[[str], None] | None = None, interval_s: float = 0.5) -> None:
        self._on_stuck = on_stuck or _end_process
        self._interval_s = interval_s
        self._watched: tuple[str, int] | None = None
        """What to say of the call, and the wake-up by which it must have ended."""
        self._wakeups = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @contextlib.contextmanager
    def watch(self, call: str, limit_s: float) -> Iterator[None]:
        """While this is open, `call` must end within `limit_s` seconds; the time of an inner `watch` does not count."""
        outer, began = self._watched, self._wakeups
        due = self._wakeups + math.ceil(limit_s / self._interval_s)
        self._watched = (f"{call} did not return within {limit_s:.0f} s", due)
        try:
            yield
        finally:
            self._watched = outer and (outer[0], outer[1] + self._wakeups - began)

    def _run(self) -> None:
        while not self._done.wait(self._interval_s):
            self._wakeups += 1
            watched = self._watched
            if watched is not None and self._wakeups > watched[1]:
                self._on_stuck(watched[0])
                return


def _end_process(why: str) -> None:
    faulthandler.dump_traceback(all_threads=True)
    sys.stderr.write(f"taskstream: {why}; ending so that a supervisor can start it again\n")
    sys.stderr.flush()
    os._exit(STUCK)

"""Several processes that serve one listening socket: forked, supervised, replaced when they die, stopped together.

A worker does not outlive its parent: the parent alone holds the writing end of a pipe, and a thread of each worker
notices when it closes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn

import structlog

POLL_S: Final = 0.1
RESTART_S: Final = 1.0
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_STOPPED: Final = (0, -signal.SIGTERM)
"""The exit codes of a process that was asked to stop and did: at its own time, or before it handled the signal."""
_log = structlog.get_logger("taskstream.workers")


def run_workers(count: int, work: Callable[[int], int], stop_timeout_s: float) -> int:
    """Run `work(number)` in `count` processes until SIGTERM or SIGINT; return 0 if all of them then exit with 0.

    A process that is stopped before `work` handles SIGTERM had nothing to finish: it counts as one that exits with 0.
    Call it before anything starts a thread or a Kafka client: those do not survive a fork.
    """
    return _Workers(work, stop_timeout_s).run(count)


class _Workers:
    def __init__(self, work: Callable[[int], int], stop_timeout_s: float) -> None:
        self._work = work
        self._stop_timeout_s = stop_timeout_s
        self._numbers: dict[int, int] = {}  # by process id
        self._stopping = False

    def run(self, count: int) -> int:
        self._orphaned, self._parent_lives = os.pipe()
        for number in _STOPS:
            signal.signal(number, self._stop)
        for worker in range(count):
            self._fork(worker)
        worst, deadline = 0, float("inf")
        while self._numbers:
            if (ended := self._reap()) is not None:
                worst = max(worst, self._ended(*ended))
                continue
            if self._stopping:
                deadline = min(deadline, time.monotonic() + self._stop_timeout_s)
                if time.monotonic() > deadline:
                    self._signal_all(signal.SIGKILL)
            time.sleep(POLL_S)
        return worst

    def _reap(self) -> tuple[int, int] | None:
        """Number and exit code of a worker that has ended, if any. A signal waits until its process id is forgotten."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
            return (self._numbers.pop(pid), os.waitstatus_to_exitcode(status)) if pid else None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _ended(self, worker: int, code: int) -> int:
        if self._stopping:
            return int(code not in _STOPPED)
        _log.error("worker_died", worker=worker, exit_code=code)
        time.sleep(RESTART_S)
        self._fork(worker)
        return 0

    def _fork(self, worker: int) -> None:
        """Unless it is stopping. A signal meanwhile is passed on when the new process is known."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        if not self._stopping and (pid := os.fork()):
            self._numbers[pid] = worker
        elif not self._stopping:
            self._be(worker, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _be(self, worker: int, mask: set[int]) -> NoReturn:
        """In the new process."""
        for number in _STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = 1
        try:
            os.close(self._parent_lives)
            threading.Thread(target=self._end_with_parent, daemon=True).start()
            code = self._work(worker)
        finally:
            if sys.exc_info()[0] is not None:
                sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
            os._exit(code)

    def _end_with_parent(self) -> None:
        """In a worker: when the parent has died, stop gracefully, and by force after the stop timeout."""
        os.read(self._orphaned, 1)  # nobody writes: it returns when the writing end closes
        _log.error("parent_died", meaning="the worker stops")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._stop_timeout_s)
        os._exit(1)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        self._signal_all(signal.SIGTERM if number == signal.SIGINT else number)

    def _signal_all(self, number: int) -> None:
        for pid in list(self._numbers):
            os.kill(pid, number)

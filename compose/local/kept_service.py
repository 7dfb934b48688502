"""One process that is kept up: started, asked whether it is ready, started again when it dies, stopped.

It is told the time and what to run; it must not know the others.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taskstream.compose.local.guarded_process import GuardedProcess

STOP_POLL_S = 0.1


@dataclass(frozen=True)
class Service:
    """What is to be kept up. `is_ready` is asked again and again, and must answer within about a second."""

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 10.0
    lock: Path | None = None


@dataclass(frozen=True)
class ServiceReady:
    """A service answers, `after_s` seconds after its start."""

    service: str
    pid: int
    after_s: float


@dataclass(frozen=True)
class ServiceDied:
    """A service ended by itself (a negative code: the signal), and is started again `restart_in_s` from now."""

    service: str
    code: int
    last_lines: str
    was_ready: bool
    restart_in_s: float


@dataclass(frozen=True)
class ServiceStopped:
    """A service was stopped by us; `forced`: it had to be killed."""

    service: str
    code: int
    forced: bool


Happening = ServiceReady | ServiceDied | ServiceStopped


@dataclass(frozen=True)
class Backoff:
    """How long a dead service waits for its next start. One that had lived for `forgiven_after_s` starts anew."""

    first_s: float = 0.5
    limit_s: float = 30.0
    forgiven_after_s: float = 30.0

    def delay_s(self, deaths: int) -> float:
        """The wait after this many deaths in a row."""
        return float(min(self.limit_s, self.first_s * 2 ** min(deaths - 1, 30)))


class KeptService:
    """A service and the process that it is at the moment."""

    def __init__(self, service: Service, output: Path, backoff: Backoff) -> None:
        self.service = service
        self.is_ready = False
        self.was_ready = False
        self._output = output
        self._backoff = backoff
        self._process: GuardedProcess | None = None
        self._started_at_s = 0.0
        self._restart_at_s = 0.0
        self._deaths = 0

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def look(self, now_s: float) -> Happening | None:
        """Do what is due, and tell what happened since the last look."""
        if self._process is None:
            if now_s >= self._restart_at_s:
                self._start(now_s)
            return None
        code = self._process.poll()
        if code is not None:
            return self._bury(self._process, code, now_s)
        if not self.is_ready and self.service.is_ready():
            self.is_ready = self.was_ready = True
            return ServiceReady(self.service.name, self._process.pid, time.monotonic() - self._started_at_s)
        return None

    def is_late(self, now_s: float) -> bool:
        """Whether its first start takes longer than it may."""
        return not self.was_ready and now_s - self._started_at_s > self.service.ready_timeout_s

    def last_lines(self) -> str:
        """The end of its output."""
        return self._process.last_lines() if self._process is not None else ""

    def stop(self, hurry: Callable[[], bool]) -> ServiceStopped | None:
        """SIGTERM, and SIGKILL past its deadline or when `hurry` says so; None when it does not run."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return None
        deadline_s = time.monotonic() + self.service.stop_timeout_s
        process.signal(signal.SIGTERM)
        while (code := process.wait(STOP_POLL_S)) is None:
            if hurry() or time.monotonic() > deadline_s:
                return ServiceStopped(self.service.name, process.kill(), forced=True)
        return ServiceStopped(self.service.name, code, forced=False)

    def _start(self, now_s: float) -> None:
        self._process = GuardedProcess(self.service.command, self._output, lock=self.service.lock)
        self._process.start()
        self._started_at_s = now_s

    def _bury(self, process: GuardedProcess, code: int, now_s: float) -> ServiceDied:
        lived_s = now_s - self._started_at_s
        self._deaths = 1 if lived_s >= self._backoff.forgiven_after_s else self._deaths + 1
        delay_s = self._backoff.delay_s(self._deaths)
        self._process, self.is_ready, self._restart_at_s = None, False, now_s + delay_s
        return ServiceDied(self.service.name, code, process.last_lines(), self.was_ready, delay_s)

"""One supervised process: it is started, polled for readiness, restarted with a backoff when it dies, and stopped.

Its decisions take the time as an argument. It must not know the other processes.
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
    """The description of a supervised process. `is_ready` is polled, and must return within about a second."""

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 10.0
    lock: Path | None = None
    stops_with: str = ""
    """Services with the same name here, started one after another, are stopped at the same time: the nodes of a
    cluster, which wait for each other."""


@dataclass(frozen=True)
class ServiceReady:
    """A service became ready, `after_s` seconds after its start."""

    service: str
    pid: int
    after_s: float


@dataclass(frozen=True)
class ServiceDied:
    """A service ended by itself and will be restarted in `restart_in_s` seconds. A negative code is a signal."""

    service: str
    code: int
    last_lines: str
    was_ready: bool
    restart_in_s: float


@dataclass(frozen=True)
class ServiceStopped:
    """A service was stopped by its supervisor; `forced`: with SIGKILL."""

    service: str
    code: int
    forced: bool


ServiceEvent = ServiceReady | ServiceDied | ServiceStopped


@dataclass(frozen=True)
class Backoff:
    """The delay before a restart: first_s, doubled with each consecutive death, at most limit_s.

    A service that ran for at least `reset_after_s` starts again with first_s.
    """

    first_s: float = 0.5
    limit_s: float = 30.0
    reset_after_s: float = 30.0

    def delay_s(self, deaths: int) -> float:
        """The delay in seconds after this many consecutive deaths."""
        return float(min(self.limit_s, self.first_s * 2 ** min(deaths - 1, 30)))


class SupervisedService:
    """A service and its current process."""

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
        """The process id; None while no process runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def poll(self, now_s: float) -> ServiceEvent | None:
        """Start or restart the process if it is due; return what happened since the last call, if anything."""
        if self._process is None:
            if now_s >= self._restart_at_s:
                self._start(now_s)
            return None
        code = self._process.poll()
        if code is not None:
            return self._schedule_restart(self._process, code, now_s)
        if not self.is_ready and self.service.is_ready():
            self.is_ready = self.was_ready = True
            return ServiceReady(self.service.name, self._process.pid, time.monotonic() - self._started_at_s)
        return None

    def is_late(self, now_s: float) -> bool:
        """Whether the first start has exceeded `ready_timeout_s`."""
        return not self.was_ready and now_s - self._started_at_s > self.service.ready_timeout_s

    def last_lines(self) -> str:
        """The end of the current process's output."""
        return self._process.last_lines() if self._process is not None else ""

    def begin_stop(self) -> None:
        """Send SIGTERM, if the process runs, and do not wait. `stop` sends it again."""
        if self._process is not None and self._process.poll() is None:
            self._process.signal(signal.SIGTERM)

    def stop(self, kill_now: Callable[[], bool]) -> ServiceStopped | None:
        """Send SIGTERM, and SIGKILL after `stop_timeout_s` or once `kill_now` returns True; None if it does not run."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return None
        deadline_s = time.monotonic() + self.service.stop_timeout_s
        process.signal(signal.SIGTERM)
        while (code := process.wait(STOP_POLL_S)) is None:
            if kill_now() or time.monotonic() > deadline_s:
                return ServiceStopped(self.service.name, process.kill(), forced=True)
        return ServiceStopped(self.service.name, code, forced=False)

    def _start(self, now_s: float) -> None:
        self._process = GuardedProcess(self.service.command, self._output, lock=self.service.lock)
        self._process.start()
        self._started_at_s = now_s

    def _schedule_restart(self, process: GuardedProcess, code: int, now_s: float) -> ServiceDied:
        lived_s = now_s - self._started_at_s
        self._deaths = 1 if lived_s >= self._backoff.reset_after_s else self._deaths + 1
        delay_s = self._backoff.delay_s(self._deaths)
        self._process, self.is_ready, self._restart_at_s = None, False, now_s + delay_s
        return ServiceDied(self.service.name, code, process.last_lines(), self.was_ready, delay_s)

"""Supervises the processes of one stack: starts them in order, restarts them, and stops them in the opposite order.

It schedules the polls; `SupervisedService` does the work of each.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Never, Self

from taskstream.compose.errors import ProcessStartError
from taskstream.compose.local.supervised_service import (
    Backoff,
    Service,
    ServiceDied,
    ServiceEvent,
    SupervisedService,
)

POLL_S = 0.1


class Supervisor:
    """Starts services, restarts those that die, and stops all when it is closed.

    No service outlives it: if it is killed, each service gets SIGTERM, and SIGKILL five seconds later. The output of
    a service is appended to `log_dir`/NAME.log. `on_event` is called for every event. `kill_now` is polled while
    services stop; once it returns True, the remaining ones are killed.
    """

    def __init__(
        self,
        log_dir: Path,
        on_event: Callable[[ServiceEvent], None],
        *,
        backoff: Backoff | None = None,
        kill_now: Callable[[], bool] = lambda: False,
    ) -> None:
        self._log_dir = log_dir
        self._on_event = on_event
        self._backoff = backoff or Backoff()
        self._kill_now = kill_now
        self._services: list[SupervisedService] = []

    def start(self, *services: Service) -> None:
        """Start these services together, and return when all are ready.

        A service that ends before it was ever ready is not restarted, because its configuration is probably wrong.

        Raises:
            ProcessStartError: a service ended, or was not ready after its `ready_timeout_s`.
        """
        self._log_dir.mkdir(parents=True, exist_ok=True)
        started = [SupervisedService(service, self.log_file(service.name), self._backoff) for service in services]
        self._services += started
        while not all(each.was_ready for each in started):
            now_s = time.monotonic()
            for event in self.poll(now_s):
                if isinstance(event, ServiceDied) and not event.was_ready:
                    raise ProcessStartError(self._death_message(event))
            for each in started:
                if each.is_late(now_s):
                    raise ProcessStartError(self._timeout_message(each))
            time.sleep(POLL_S)

    def run(self) -> Never:
        """Supervise the services until a KeyboardInterrupt."""
        while True:
            self.poll(time.monotonic())
            time.sleep(POLL_S)

    def poll(self, now_s: float) -> list[ServiceEvent]:
        """Poll each service once; report and return the events.

        The death of a service that was never ready is returned but not reported: `start` raises it.
        """
        events = [event for each in self._services if (event := each.poll(now_s)) is not None]
        for event in events:
            if not isinstance(event, ServiceDied) or event.was_ready:
                self._on_event(event)
        return events

    def stop(self) -> None:
        """Stop the services one after another, the last started first; those that stop together at the same time."""
        while self._services:
            last = self._services.pop()
            together = [last]
            while last.service.stops_with and self._services:
                if self._services[-1].service.stops_with != last.service.stops_with:
                    break
                together.append(self._services.pop())
            for each in together[1:]:
                each.begin_stop()
            for each in together:
                stopped = each.stop(self._kill_now)
                if stopped is not None:
                    self._on_event(stopped)

    def log_file(self, service: str) -> Path:
        """The file of a service's output."""
        return self._log_dir / f"{service}.log"

    def pids(self) -> dict[str, int]:
        """[name] The process id of each running service."""
        return {each.service.name: each.pid for each in self._services if each.pid is not None}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _death_message(self, died: ServiceDied) -> str:
        log = self.log_file(died.service)
        return f"{died.service} ended with exit code {died.code} before it was ready ({log}):\n{died.last_lines}"

    def _timeout_message(self, late: SupervisedService) -> str:
        name, timeout_s = late.service.name, late.service.ready_timeout_s
        remedy = "on a busy machine, start again: what is compiled and written so far is kept"
        return f"{name} was not ready after {timeout_s:g} s ({self.log_file(name)}); {remedy}:\n{late.last_lines()}"

"""Processes that make up one stack: started in order, kept up, and stopped in the opposite order.

It knows when each is looked at; what a look does, the service itself knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Never, Self

from taskstream.compose.errors import ProcessStartError
from taskstream.compose.local.kept_service import Backoff, Happening, KeptService, Service, ServiceDied

POLL_S = 0.1


class Supervisor:
    """Starts services, restarts those that die, stops all when it closes.

    None outlives it: when it is killed itself, each is told to end, and made to end five seconds later.
    Each one's output is appended to `log_dir`/NAME.log. `tell` hears what happens; `hurry` is asked while
    stopping, and its yes means: kill what is left.
    """

    def __init__(
        self,
        log_dir: Path,
        tell: Callable[[Happening], None],
        *,
        backoff: Backoff | None = None,
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        self._log_dir = log_dir
        self._tell = tell
        self._backoff = backoff or Backoff()
        self._hurry = hurry
        self._kept: list[KeptService] = []

    def start(self, *services: Service) -> None:
        """Start these together, return when all are ready. Raises ProcessStartError.

        One that ends before it was ever ready is not tried again: it was told wrongly, rather than unlucky.
        """
        self._log_dir.mkdir(parents=True, exist_ok=True)
        fresh = [KeptService(service, self.log_file(service.name), self._backoff) for service in services]
        self._kept += fresh
        while not all(kept.was_ready for kept in fresh):
            now_s = time.monotonic()
            for happening in self.look(now_s):
                if isinstance(happening, ServiceDied) and not happening.was_ready:
                    raise ProcessStartError(self._in_last_words(happening))
            for kept in fresh:
                if kept.is_late(now_s):
                    raise ProcessStartError(self._too_late(kept))
            time.sleep(POLL_S)

    def run(self) -> Never:
        """Keep the services up; a KeyboardInterrupt is the way out."""
        while True:
            self.look(time.monotonic())
            time.sleep(POLL_S)

    def look(self, now_s: float) -> list[Happening]:
        """Look at each service once; what happened is told, and given back.

        Only a death before it was ever ready is not told: `start` raises that.
        """
        happenings = [happening for kept in self._kept if (happening := kept.look(now_s)) is not None]
        for happening in happenings:
            if not isinstance(happening, ServiceDied) or happening.was_ready:
                self._tell(happening)
        return happenings

    def stop(self) -> None:
        """Stop all, the last one first, each before the next."""
        while self._kept:
            stopped = self._kept.pop().stop(self._hurry)
            if stopped is not None:
                self._tell(stopped)

    def log_file(self, service: str) -> Path:
        """Where a service's output is kept."""
        return self._log_dir / f"{service}.log"

    def pids(self) -> dict[str, int]:
        """The process ids of those that live, by name."""
        return {kept.service.name: kept.pid for kept in self._kept if kept.pid is not None}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _in_last_words(self, died: ServiceDied) -> str:
        where = self.log_file(died.service)
        return f"{died.service} ended with exit code {died.code} before it was ready ({where}):\n{died.last_lines}"

    def _too_late(self, kept: KeptService) -> str:
        name, timeout_s = kept.service.name, kept.service.ready_timeout_s
        return f"{name} was not ready after {timeout_s:g} s ({self.log_file(name)}):\n{kept.last_lines()}"

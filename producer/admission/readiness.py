"""Whether the edge accepts reports now: it does not while it drains or while Kafka does not acknowledge."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Protocol


class Probe(Protocol):
    """Checks that Kafka acknowledges."""

    async def probe(self) -> str | None:
        """None when Kafka acknowledges, else the problem in a few words."""
        ...


@dataclass(slots=True)
class Readiness:
    """What /readyz reports."""

    draining: bool = False
    kafka: str | None = "not probed yet"
    """The problem with Kafka, or None."""

    @property
    def ready(self) -> bool:
        """Whether the edge accepts reports."""
        return not self.draining and self.kafka is None

    def document(self) -> dict[str, Any]:
        """The body of /readyz, which names the check that fails."""
        checks = {"draining": "yes" if self.draining else "no", "kafka": self.kafka or "ok"}
        return {"status": "ready" if self.ready else "unready", "checks": checks}


class ReadinessWatch:
    """Updates a Readiness until it is left: `async with ReadinessWatch(readiness, probe, interval_s)`."""

    def __init__(self, readiness: Readiness, probe: Probe, interval_s: float = 1.0) -> None:
        self._readiness = readiness
        self._probe = probe
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        while True:
            self._readiness.kafka = await self._probe.probe()
            await asyncio.sleep(self._interval_s)

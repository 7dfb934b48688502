"""Whether the edge can keep its promise now: is it draining, and does Kafka answer. It serves nothing."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Protocol


class Probe(Protocol):
    """Asks Kafka."""

    async def probe(self) -> str | None:
        """None when all is well, else what is wrong in a few words."""
        ...


@dataclass(slots=True)
class Readiness:
    """What /readyz tells."""

    draining: bool = False
    kafka: str | None = "not asked yet"
    """What is wrong with Kafka, or None."""

    @property
    def ready(self) -> bool:
        """Whether reports are welcome."""
        return not self.draining and self.kafka is None

    def document(self) -> dict[str, Any]:
        """The body of /readyz: what fails is named."""
        checks = {"draining": "yes" if self.draining else "no", "kafka": self.kafka or "ok"}
        return {"status": "ready" if self.ready else "unready", "checks": checks}


class ReadinessWatch:
    """Keeps a Readiness true: `async with Watch(readiness, probe, interval_s)`."""

    def __init__(self, readiness: Readiness, probe: Probe, interval_s: float = 1.0) -> None:
        self._readiness = readiness
        self._probe = probe
        self._interval_s = interval_s

    async def __aenter__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _watch(self) -> None:
        while True:
            self._readiness.kafka = await self._probe.probe()
            await asyncio.sleep(self._interval_s)

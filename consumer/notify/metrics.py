"""The notifier's Prometheus metrics and its readiness. No label grows with tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

OUTCOMES = ("accepted", "failed", "dead_letter")
FATES = ("routed", "unrouted", "repeated", "unreadable", "muted")


class NotifyMetrics:
    """The metrics of one process."""

    def __init__(self, receivers: Iterable[str]) -> None:
        self.ready = False
        """Whether the group has assigned partitions, perhaps none."""
        self.registry = CollectorRegistry()
        metric: dict[str, Any] = {"registry": self.registry, "namespace": "taskstream", "subsystem": "notify"}
        self._signals = Counter(
            "signals",
            "Signals read, by what they led to: routed to receivers, unrouted, repeated (an earlier process settled "
            "them), unreadable. muted: alerts of muted tasks that nobody is told of.",
            ["fate"],
            **metric,
        )
        self._attempts = Counter(
            "attempts",
            "Attempts to send a notification: accepted, or failed. dead_letter: notifications that were given up.",
            ["receiver", "outcome"],
            **metric,
        )
        self._lost = Counter("lost", "Signals that retention deleted before they were read.", **metric)
        self._waiting = Gauge("waiting_alerts", "Alerts that are gathered, held or sent.", ["receiver"], **metric)
        self._held = Gauge("held_alerts", "Those of them that wait for the end of quiet hours.", ["receiver"], **metric)
        self._pending = Gauge("pending_signals", "Signals that are read and not settled.", **metric)
        for fate in FATES:
            self._signals.labels(fate)
        for receiver in receivers:
            for outcome in OUTCOMES:
                self._attempts.labels(receiver, outcome)

    def signals(self, fate: str, count: int = 1) -> None:
        """Signals were read; `fate`: one of FATES."""
        self._signals.labels(fate).inc(count)

    def attempted(self, receiver: str, outcome: str) -> None:
        """An attempt ended; `outcome`: one of OUTCOMES."""
        self._attempts.labels(receiver, outcome).inc()

    def lost(self, count: int) -> None:
        """Retention was faster."""
        self._lost.inc(count)

    def waits(self, receiver: str, waiting: int, held: int) -> None:
        """What the receiver has still to be told."""
        self._waiting.labels(receiver).set(waiting)
        self._held.labels(receiver).set(held)

    def pending(self, count: int) -> None:
        """Signals that are read and not settled."""
        self._pending.set(count)

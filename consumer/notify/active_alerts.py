"""The states that are firing at one Alertmanager, which forgets them when it restarts: they are told again.

Time is an argument, in seconds since 1970.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from taskstream.consumer.notify.alert import Alert, AlertStatus

_US = 1_000_000


class ActiveAlerts:
    """Alerts that were told and have not ended, at most `active_s` old. All are due every `resend_s`."""

    def __init__(self, resend_s: float, active_s: float) -> None:
        self._resend_s = resend_s
        self._active_s = active_s
        self._alerts: dict[tuple[str, str, str, str], Alert] = {}
        self._round: deque[Alert] = deque()
        self._next_s: float | None = None

    def __len__(self) -> int:
        return len(self._alerts)

    def told(self, alerts: Iterable[Alert]) -> None:
        """These were told, in this order."""
        for alert in alerts:
            if alert.status is AlertStatus.FIRING:
                self._alerts[alert.identity] = alert
            elif alert.status is AlertStatus.RESOLVED:
                self._alerts.pop(alert.identity, None)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget the alerts of other partitions: who holds them now tells of them."""
        self._alerts = {name: each for name, each in self._alerts.items() if each.origin.partition in partitions}

    def due(self, now_s: float, most: int) -> list[Alert]:
        """Up to `most` that are to be told again now."""
        if self._next_s is None:
            self._next_s = now_s  # after a start, at once: nobody knows when they were told last
        if not self._round and now_s >= self._next_s:
            self._next_s = now_s + self._resend_s
            oldest_us = (now_s - self._active_s) * _US
            self._alerts = {name: each for name, each in self._alerts.items() if each.signal.raised_at >= oldest_us}
            self._round.extend(self._alerts.values())
        found: list[Alert] = []
        while self._round and len(found) < most:
            alert = self._round.popleft()
            if self._alerts.get(alert.identity) is alert:
                found.append(alert)
        return found

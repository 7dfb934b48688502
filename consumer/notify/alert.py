"""What a signal means for somebody who is told: a state begins, a state ends, or something happened. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from taskstream.consumer.state.series import Health, Signal
from taskstream.consumer.view.read_model.signal_log import RaisedSignal

STATES = frozenset({Health.SLOW.name, Health.NO_PROGRESS.name, Health.SILENT.name})
"""The kinds that begin and end."""
EVENTS = frozenset({Signal.RESET.name, Signal.COMPLETE.name, Signal.ETA_MOVED.name})
"""The kinds that happen at one time."""
KINDS = STATES | EVENTS
DEFAULT_KINDS = STATES


class AlertStatus(StrEnum):
    """What an alert says of its kind."""

    FIRING = "firing"
    RESOLVED = "resolved"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class SignalPlace:
    """Where a signal lies on the signals topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Alert:
    """One fact for a receiver. Times are microseconds since 1970."""

    origin: SignalPlace
    kind: str
    status: AlertStatus
    starts_at: int
    ends_at: int | None
    """None while it is firing."""
    signal: RaisedSignal

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Alerts of one state of one series have the same."""
        return self.signal.project_id, self.signal.task_id, self.signal.subtask_name, self.kind


def alerts_of(signal: RaisedSignal, origin: SignalPlace) -> list[Alert]:
    """The alerts of a signal: the state before ends, the state after begins; for a signal of neither, an event."""
    found = []
    if signal.before in STATES and signal.before != signal.after:
        ends_at = max(signal.raised_at, signal.before_since)
        found.append(Alert(origin, signal.before, AlertStatus.RESOLVED, signal.before_since, ends_at, signal))
    if signal.after in STATES and (signal.after != signal.before or signal.signal == signal.after):
        found.append(Alert(origin, signal.after, AlertStatus.FIRING, signal.since, None, signal))
    if signal.signal not in STATES | {Signal.RESUMED.name}:
        found.append(Alert(origin, signal.signal, AlertStatus.EVENT, signal.raised_at, signal.raised_at, signal))
    return found


def newest_of_each(alerts: list[Alert]) -> list[Alert]:
    """The last alert of each identity, in the order of those."""
    newest: dict[tuple[str, str, str, str], Alert] = {}
    for alert in alerts:
        newest.pop(alert.identity, None)
        newest[alert.identity] = alert
    return list(newest.values())

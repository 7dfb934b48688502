"""The settings of the notifier, chosen once when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from taskstream.consumer.notify.alert import DEFAULT_KINDS, Alert
from taskstream.consumer.notify.quiet_hours import QuietHours
from taskstream.consumer.task_context.task_context import TaskContext


class ReceiverType(StrEnum):
    """Which API a receiver has."""

    ALERTMANAGER = "alertmanager"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One address that is told. Its repr leaves the secrets out."""

    name: str
    type: ReceiverType
    url: str
    token: str | None = field(default=None, repr=False)
    """Sent as `Authorization: Bearer ...`."""
    secret: bytes | None = field(default=None, repr=False)
    """The key of the signature of a webhook's requests."""
    ca_file: str | None = None
    template: str | None = None
    """The body of a webhook's requests; None: the document of `webhook.py`."""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """More labels of an Alertmanager's alerts."""
    timeout_s: float = 10.0
    per_minute: float = 30.0
    """Notifications a minute, on average."""
    burst: int = 10
    """Notifications at once."""
    give_up_s: float = 3_600.0
    """From the first attempt at a notification to its dead letter."""
    active_s: float = 7 * 86_400.0
    """How long an Alertmanager holds a firing alert that nothing ends."""
    resend_s: float = 60.0
    """How often it is told of all firing alerts again: it forgets them when it restarts."""
    event_s: float = 900.0
    """How long it holds one of an event."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which alerts go to which receivers."""

    receivers: tuple[str, ...]
    projects: frozenset[str] | None = None
    """None: all."""
    kinds: frozenset[str] = DEFAULT_KINDS
    quiet: QuietHours | None = None

    def takes_project(self, project_id: str) -> bool:
        """Whether alerts of this project go this way."""
        return self.projects is None or project_id in self.projects


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """The settings of one notifier. The first route that takes an alert's project decides about the alert."""

    topic: str
    group: str
    receivers: Mapping[str, Receiver]
    routes: tuple[Route, ...]
    dead_letter: Path
    view_url: str | None = None
    bucket_us: int = 60_000_000
    """The worker's, for the words of a signal."""
    window_s: float = 30.0
    """How long a group of alerts is gathered, from its first alert on."""
    most_alerts: int = 200
    """Alerts of one notification."""
    most_pending: int = 20_000
    """Signals that are read and not settled; at this number reading pauses."""
    from_earliest: bool = False
    """A group without offsets begins at the first signal on the topic, and not at its end."""
    context: TaskContext = field(default_factory=TaskContext)
    """The labels and links of tasks."""
    notes_topic: str = "taskstream.notes"
    """Where operators mute tasks."""

    def route_of(self, alert: Alert) -> int | None:
        """The index of the route that takes the alert; None: nobody is told."""
        for index, route in enumerate(self.routes):
            if route.takes_project(alert.signal.project_id):
                return index if alert.kind in route.kinds else None
        return None

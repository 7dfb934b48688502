"""What one receiver has still to be told, and when: groups, quiet hours, the rate limit, retries. Time is an argument.

Alerts of one route, project and kind are gathered into one notification. One notification is sent at a time, so that
the end of a state never overtakes its beginning.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from taskstream.consumer.notify.active_alerts import ActiveAlerts
from taskstream.consumer.notify.alert import Alert, AlertStatus, SignalPlace
from taskstream.consumer.notify.settings import Receiver, ReceiverType, Route

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
MOST_REMINDED = 1_000


@dataclass(frozen=True, slots=True)
class Notification:
    """Alerts of one project and kind for one receiver, in the order of their signals."""

    receiver: str
    project_id: str
    kind: str
    alerts: tuple[Alert, ...]
    reminder: bool = False
    """It tells again what was told, of any project and kind. Nothing depends on it."""


@dataclass(slots=True)
class _Group:
    """Alerts that are being gathered."""

    due_s: float
    alerts: list[Alert] = field(default_factory=list)


@dataclass(slots=True)
class _Attempts:
    """The notification that is being sent, and how often that was tried."""

    notification: Notification
    first_s: float
    due_s: float
    failed: int = 0
    under_way: bool = False


class TokenBucket:
    """Allows `burst` at once, and `per_second` on average."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = self._burst
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Take a token, if there is one."""
        if self._at_s is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self._per_second)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def retry_pause_s(failed: int) -> float:
    """The pause after the `failed`-th attempt in a row: doubled each time, to a minute."""
    return float(min(FIRST_RETRY_S * 2 ** min(failed - 1, 16), LONGEST_RETRY_S))


class Outbox:
    """Of one receiver. `now_s`: seconds since 1970."""

    def __init__(
        self,
        receiver: Receiver,
        routes: tuple[Route, ...],
        window_s: float,
        most_alerts: int,
        is_muted: Callable[[Alert], bool] = lambda _: False,
    ) -> None:
        """`is_muted`: whether the alert's task is muted now."""
        self._is_muted = is_muted
        self._unsaid: list[Alert] = []
        self.receiver = receiver
        self._routes = routes
        self._window_s = window_s
        self._most_alerts = most_alerts
        self._groups: OrderedDict[tuple[int, str, str], _Group] = OrderedDict()
        self._bucket = TokenBucket(receiver.per_minute / 60, receiver.burst)
        self._current: _Attempts | None = None
        is_forgetful = receiver.type is ReceiverType.ALERTMANAGER
        self._active = ActiveAlerts(receiver.resend_s, receiver.active_s) if is_forgetful else None

    def add(self, route: int, alert: Alert, now_s: float) -> None:
        """Gather an alert that came by the route of this index."""
        key = (route, alert.signal.project_id, alert.kind)
        if key not in self._groups:
            self._groups[key] = _Group(now_s + self._window_s)
        self._groups[key].alerts.append(alert)

    def unsaid(self) -> list[Alert]:
        """Alerts of muted tasks that nobody is told of, since the last call: events, and states that have ended."""
        unsaid, self._unsaid = self._unsaid, []
        return unsaid

    def told_before(self, alert: Alert) -> None:
        """An earlier process has told of this alert; after those before it."""
        if self._active is not None:
            self._active.told([alert])

    def keep_told(self, partitions: Collection[int]) -> None:
        """Remind of no alert of another partition."""
        if self._active is not None:
            self._active.keep(partitions)

    def drop(self, is_ours: Callable[[SignalPlace], bool]) -> None:
        """Forget the alerts of signals that are not ours any more. What is under way goes on."""
        for key, group in list(self._groups.items()):
            group.alerts = [each for each in group.alerts if is_ours(each.origin)]
            if not group.alerts:
                del self._groups[key]
        if self._current is not None and not self._current.under_way and not self._current.notification.reminder:
            held = self._current.notification
            left = tuple(each for each in held.alerts if is_ours(each.origin))
            if left:
                self._current.notification = replace(held, alerts=left)
            else:
                self._current = None

    def next(self, now_s: float) -> Notification | None:
        """The notification to send now, or None. `sent`, `failed` or `given_up` must follow before there is another."""
        if self._current is None:
            self._current = self._begin(now_s) or self._remind(now_s)
        if self._current is None or self._current.under_way or now_s < self._current.due_s:
            return None
        self._current.under_way = True
        return self._current.notification

    def sent(self) -> Notification:
        """The receiver has accepted the notification."""
        notification = self._end()
        if self._active is not None and not notification.reminder:
            self._active.told(notification.alerts)
        return notification

    def failed(self, now_s: float, pause_s: float | None = None) -> bool:
        """The attempt failed in a way that may pass: whether it is tried again. If not, call `given_up`.

        pause_s: what the receiver asked for, at most an hour of which is granted.
        """
        current = self._under_way()
        current.failed += 1
        current.due_s = now_s + max(retry_pause_s(current.failed), min(pause_s or 0.0, 3_600.0))
        current.under_way = False
        in_time = current.due_s - current.first_s <= self.receiver.give_up_s
        return in_time and not current.notification.reminder

    def given_up(self) -> Notification:
        """The notification is not tried again."""
        return self._end()

    def held(self, now_s: float) -> int:
        """How many alerts wait for the end of quiet hours."""
        return sum(len(group.alerts) for key, group in self._groups.items() if self._is_quiet(key[0], now_s))

    @property
    def waiting(self) -> int:
        """How many alerts are gathered or being sent."""
        current = 0 if self._current is None else len(self._current.notification.alerts)
        return current + sum(len(group.alerts) for group in self._groups.values())

    def _begin(self, now_s: float) -> _Attempts | None:
        """The oldest group that may be sent, as a notification."""
        for key, group in self._groups.items():
            route, project_id, kind = key
            is_due = group.due_s <= now_s or len(group.alerts) >= self._most_alerts
            if not is_due or self._is_quiet(route, now_s):
                continue
            muted = self._take_muted(group)
            if not group.alerts:
                group.alerts = muted
                if not muted:
                    del self._groups[key]
                    return self._begin(now_s)
                continue
            if not self._bucket.take(now_s):
                return None
            alerts = tuple(group.alerts[: self._most_alerts])
            group.alerts[: self._most_alerts] = muted
            if not group.alerts:
                del self._groups[key]
            return _Attempts(Notification(self.receiver.name, project_id, kind, alerts), now_s, now_s)
        return None

    def _take_muted(self, group: _Group) -> list[Alert]:
        """Take the alerts of muted tasks out of the group; gives those that wait: states that have not ended.

        The end of a state whose begin nobody was told of is not told either.
        """
        waiting: dict[tuple[str, str, str, str], list[Alert]] = {}
        others = []
        for alert in group.alerts:
            begun = waiting.pop(alert.identity, None)
            if alert.status is AlertStatus.RESOLVED and begun is not None:
                self._unsaid += [*begun, alert]
            elif alert.status is AlertStatus.EVENT and self._is_muted(alert):
                self._unsaid.append(alert)
            elif alert.status is AlertStatus.FIRING and self._is_muted(alert):
                waiting[alert.identity] = [*(begun or ()), alert]
            else:
                others += [*(begun or ()), alert]
        group.alerts = others
        return [alert for each in waiting.values() for alert in each]

    def _remind(self, now_s: float) -> _Attempts | None:
        """The next part of what is told again."""
        alerts = () if self._active is None else tuple(self._active.due(now_s, MOST_REMINDED))
        return (
            _Attempts(Notification(self.receiver.name, "", "", alerts, reminder=True), now_s, now_s) if alerts else None
        )

    def _is_quiet(self, route: int, now_s: float) -> bool:
        quiet = self._routes[route].quiet
        return quiet is not None and quiet.until_s(now_s) is not None

    def _under_way(self) -> _Attempts:
        if self._current is None:
            raise RuntimeError("no notification is under way")
        return self._current

    def _end(self) -> Notification:
        ended = self._under_way().notification
        self._current = None
        return ended

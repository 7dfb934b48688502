"""Alerts as Alertmanager's API v2 takes them: `POST /api/v2/alerts`. It makes bodies and sends none.

An alert of a state that began has its end in the future, when Alertmanager drops it if no end came. The alert of the
end has the same labels and an end in the past. One of an event ends after some minutes.
"""

from __future__ import annotations

import json
from typing import Any

from taskstream.consumer.notify.alert import Alert, AlertStatus, newest_of_each
from taskstream.consumer.notify.outbox import Notification
from taskstream.consumer.notify.settings import NotifySettings, Receiver
from taskstream.consumer.notify.wording import line_of, link_of, text_of
from taskstream.schemas.cloud_events import rfc3339

PATH = "/api/v2/alerts"
OWN_LABELS = frozenset({"alertname", "kind", "project_id", "subtask", "task_id"})
_US = 1_000_000


def alertmanager_body(notification: Notification, receiver: Receiver, settings: NotifySettings, now_s: float) -> bytes:
    """The body of the request. Of several alerts of one state of one series, the last one: Alertmanager holds one."""
    alerts = newest_of_each(list(notification.alerts))
    return json.dumps([_alert(each, receiver, settings, now_s) for each in alerts]).encode()


def _alert(alert: Alert, receiver: Receiver, settings: NotifySettings, now_s: float) -> dict[str, Any]:
    signal = alert.signal
    words = "".join(part.capitalize() for part in alert.kind.split("_"))
    about = settings.context.of(signal.project_id, signal.task_id)
    document: dict[str, Any] = {
        "labels": {
            **receiver.labels,
            "alertname": f"Taskstream{words}",
            "kind": alert.kind,
            "project_id": signal.project_id,
            "task_id": signal.task_id,
            "subtask": signal.subtask_name,
        },
        "annotations": {
            **{f"label_{name}": value for name, value in about.labels.items()},
            **{f"link_{name}": link for name, link in about.links.items()},
            "summary": line_of(alert, settings.bucket_us),
            "description": text_of(alert, settings.bucket_us),
            "progress": f"{signal.progress} %",
        },
        "startsAt": rfc3339(alert.starts_at).decode(),
        "endsAt": rfc3339(_ends_at(alert, receiver, now_s)).decode(),
    }
    if link := link_of(settings.view_url, signal.project_id, signal.task_id):
        document["generatorURL"] = link
    return document


def _ends_at(alert: Alert, receiver: Receiver, now_s: float) -> int:
    if alert.status is AlertStatus.FIRING:
        return max(alert.signal.raised_at + round(receiver.active_s * _US), round((now_s + receiver.event_s) * _US))
    ends_at = alert.starts_at if alert.ends_at is None else alert.ends_at
    return ends_at + (round(receiver.event_s * _US) if alert.status is AlertStatus.EVENT else 0)

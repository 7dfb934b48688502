"""The requests of a generic webhook: a JSON document or a filled-in template, and its signature. It sends none."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from string import Template
from typing import Any

from taskstream.consumer.notify.alert import Alert, AlertStatus
from taskstream.consumer.notify.outbox import Notification
from taskstream.consumer.notify.settings import NotifySettings
from taskstream.consumer.notify.wording import lines_of, link_of, summary_of, text_of
from taskstream.consumer.view.json.signal_json import signal_json
from taskstream.schemas.cloud_events import rfc3339

VERSION = 1
PLACEHOLDERS = ("count", "id", "kind", "link", "project_id", "status", "summary", "text")
TIMESTAMP_HEADER = "X-Taskstream-Timestamp"
SIGNATURE_HEADER = "X-Taskstream-Signature"
DELIVERY_HEADER = "X-Taskstream-Delivery"


def webhook_document(notification: Notification, settings: NotifySettings) -> dict[str, Any]:
    """The notification as JSON. `id` of an alert is its signal's place on the topic, PARTITION:OFFSET."""
    return {
        "version": VERSION,
        "id": delivery_id(notification),
        "project_id": notification.project_id,
        "kind": notification.kind,
        "status": _status(notification),
        "summary": summary_of(notification.project_id, notification.kind, notification.alerts, settings.bucket_us),
        "link": link_of(settings.view_url, notification.project_id),
        "count": len(notification.alerts),
        "alerts": [_alert_document(each, settings) for each in notification.alerts],
    }


def webhook_body(notification: Notification, template: str | None, settings: NotifySettings) -> bytes:
    """The body of the request: the document, or the template with its placeholders filled in."""
    document = webhook_document(notification, settings)
    if template is None:
        return json.dumps(document).encode()
    first = notification.alerts[0].signal
    values = document | {"text": lines_of(notification.alerts, settings.bucket_us)}
    if len(notification.alerts) == 1:
        values["link"] = link_of(settings.view_url, first.project_id, first.task_id)
    return filled_in(template, values).encode()


def filled_in(template: str, values: dict[str, Any]) -> str:
    """The template, with each `$placeholder` replaced by its value as it stands within a JSON string."""
    return Template(template).substitute({name: json.dumps(str(values[name]))[1:-1] for name in PLACEHOLDERS})


def template_problem(template: str) -> str | None:
    """Why the template cannot be used; None: it can."""
    try:
        json.loads(filled_in(template, dict.fromkeys(PLACEHOLDERS, "1")))
    except KeyError as error:
        return f"${error.args[0]} is not one of ${', $'.join(PLACEHOLDERS)}"
    except json.JSONDecodeError as error:
        return f"it is not JSON when it is filled in ({error.msg} at character {error.pos}): put placeholders in quotes"
    except ValueError:
        return "a $ that begins no placeholder must be written $$"
    return None


def signed_headers(secret: bytes, body: bytes, now_s: float) -> dict[str, str]:
    """The time of the request in seconds since 1970, and HMAC-SHA256 over `TIMESTAMP.BODY`, in hexadecimal digits."""
    timestamp = str(int(now_s))
    digest = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: f"sha256={digest}"}


def delivery_id(notification: Notification) -> str:
    """The same for the same alerts, also after a restart: a receiver recognises a repeated request by it."""
    named = " ".join(f"{each.origin} {each.kind} {each.status}" for each in notification.alerts)
    return hashlib.sha256(f"{notification.receiver} {named}".encode()).hexdigest()[:32]


def is_header_value(text: str) -> bool:
    """Whether the text can be the value of a header."""
    return re.fullmatch(r"[\x21-\x7e]{1,16384}", text) is not None


def _status(notification: Notification) -> str:
    """Firing if any alert is."""
    found = {each.status for each in notification.alerts}
    return next(each.value for each in AlertStatus if each in found)


def _alert_document(alert: Alert, settings: NotifySettings) -> dict[str, Any]:
    signal = alert.signal
    about = settings.context.of(signal.project_id, signal.task_id)
    return {
        "id": str(alert.origin),
        "status": alert.status.value,
        "kind": alert.kind,
        "project_id": signal.project_id,
        "task_id": signal.task_id,
        "subtask_name": signal.subtask_name,
        "text": text_of(alert, settings.bucket_us),
        "starts_at": rfc3339(alert.starts_at).decode(),
        "ends_at": None if alert.ends_at is None else rfc3339(alert.ends_at).decode(),
        "link": link_of(settings.view_url, signal.project_id, signal.task_id),
        "labels": dict(about.labels),
        "links": dict(about.links),
        "signal": signal_json(signal, settings.bucket_us),
    }

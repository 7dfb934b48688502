"""An alert in words, and the address of its task on the view's page. It sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from taskstream.consumer.notify.alert import Alert, AlertStatus
from taskstream.consumer.view.json.signal_json import signal_text

MOST_LINES = 20


def text_of(alert: Alert, bucket_us: int) -> str:
    """What happened, in the product's own words."""
    text = signal_text(alert.signal, bucket_us)
    if alert.status is AlertStatus.RESOLVED and alert.signal.signal != "RESUMED":
        return f"no longer {alert.kind}: {text}"
    return text


def line_of(alert: Alert, bucket_us: int) -> str:
    """The same with the task's name and its subtask."""
    return f"{alert.signal.task_id} {alert.signal.subtask_name}: {text_of(alert, bucket_us)}"


def lines_of(alerts: Sequence[Alert], bucket_us: int) -> str:
    """A line for each alert, at most 20, and how many more there are."""
    lines = [line_of(each, bucket_us) for each in alerts[:MOST_LINES]]
    if len(alerts) > MOST_LINES:
        lines.append(f"and {len(alerts) - MOST_LINES:,} more")
    return "\n".join(lines)


def summary_of(project_id: str, kind: str, alerts: Sequence[Alert], bucket_us: int) -> str:
    """One line: the alert, or how many there are of each status."""
    if len(alerts) == 1:
        return f"{kind} {alerts[0].status}: {line_of(alerts[0], bucket_us)}"
    count = {status: sum(each.status is status for each in alerts) for status in AlertStatus}
    parts = ", ".join(f"{number:,} {status}" for status, number in count.items() if number)
    return f"{kind} in {project_id}: {parts}"


def link_of(view_url: str | None, project_id: str, task_id: str | None = None) -> str:
    """The address of the task on the view's page, or of the project's list; empty: the view's address is not known."""
    if view_url is None:
        return ""
    query = {"project": project_id} if task_id is None else {"task": task_id, "project": project_id}
    return f"{view_url.rstrip('/')}/?{urlencode(query)}"

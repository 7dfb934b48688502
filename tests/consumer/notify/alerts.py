"""Signals and alerts for the tests of the notifier's decisions."""

from __future__ import annotations

from typing import Any

from taskstream.consumer.notify.alert import Alert, SignalPlace, alerts_of
from taskstream.consumer.view.read_model.signal_log import RaisedSignal

T = 1_795_421_400_000_000
S = 1_000_000


def raised(signal: str, before: str, after: str, **more: Any) -> RaisedSignal:
    values: dict[str, Any] = {
        "project_id": "p",
        "task_id": "t",
        "subtask_name": "MIGRATE_LINUX_FILE",
        "raised_at": T,
        "since": T - 300 * S,
        "before_since": T - 900 * S,
        "last_seen": T - 300 * S,
        "last_advance": T - 300 * S,
        "limit_s": 60.0,
        "progress": 42,
        "replicatesize": 42,
        "totalsize": 100,
        "rate_fast_bps": 1e6,
        "rate_slow_bps": 2e6,
        "trend_change_pct": -60.0,
        "eta": None,
        "eta_before": None,
    }
    return RaisedSignal(**(values | {"signal": signal, "before": before, "after": after} | more))


def silent(task: str, offset: int = 0, project: str = "p") -> Alert:
    (alert,) = alerts_of(raised("SILENT", "OK", "SILENT", task_id=task, project_id=project), SignalPlace(0, offset))
    return alert

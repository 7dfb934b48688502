"""A large simulated fleet as state rows: tasks of every health and trend; the same rows for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.consumer.view.views import MB, S, series

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\"> </script><script>document.title='owned'</script> ' \" &amp; \u202e"
)
SUBTASKS = ("MIGRATE_LINUX_FILE", "MIGRATE_LINUX_BLOCK", "MIGRATE_WINDOWS_BLOCK", "SYNC_LINUX_FILE")
KINDS = ("ok", "ok", "ok", "ok", "warming", "faster", "slow", "stuck", "silent", "done", "done", "done")


def fleet(now_us: int, tasks: int, seed: int = 7) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Rows and traces by series key: `tasks` tasks in four projects, each with its earlier subtasks."""
    random = np.random.default_rng(seed)
    states: dict[str, np.ndarray] = {}
    traces: dict[str, str] = {}
    for number in range(tasks):
        kind = KINDS[number % len(KINDS)]
        task = f"project-{1 + number % 4}/{random.bytes(4).hex()}-{number:05d}"
        name = SUBTASKS[number % len(SUBTASKS)]
        began = now_us - int(random.integers(900, 5400)) * S
        states[f"{task}/CREATE_CLOUD_SERVER"] = done(now_us, began, began + 60 * S)
        states[f"{task}/SSL_CONFIG"] = done(now_us, began + 60 * S, began + 75 * S)
        states[f"{task}/{name}"] = made(kind, now_us, began + 80 * S, random)
        traces[f"{task}/{name}"] = HOSTILE if number % 50 == 7 else f"copying /srv/data/{number:04d}/archive.tar"
    return states, traces


def done(now_us: int, began: int, ended: int) -> np.ndarray:
    """A short subtask that is complete."""
    nothing = dict.fromkeys(("rate_fast_bps", "rate_slow_bps", "eta_s", "eta_low_s", "eta_high_s"), np.nan)
    sizes = {"replicatesize": 0, "totalsize": 0, "minute_bytes": 0}
    times = {"first_seen": began, "last_seen": ended, "last_advance": ended, "health_since": ended}
    return series(now_us, progress=100, health=3, trend=0, complete_minutes=0, **sizes, **times, **nothing)


def made(kind: str, now_us: int, began: int, random: np.random.Generator) -> np.ndarray:
    """The copy subtask of one task, of one of KINDS."""
    rate = float(random.lognormal(np.log(20 * MB), 0.8))
    noise = random.lognormal(0, 0.15, 30)
    shape = np.ones(30)
    ran_s = (now_us - began) / S
    columns: dict[str, Any] = {"health": 0, "health_since": began, "last_seen": now_us - int(random.integers(1, 8)) * S}
    if kind == "faster":
        shape = np.linspace(0.4, 1.3, 30)
        columns |= {"trend": 3, "trend_change_pct": 38.0, "trend_slope_pct": 3.1}
    if kind == "slow":
        shape[-5:] = 0.3
        columns |= {"trend": 2, "trend_change_pct": -68.0, "health": 1, "slow": True, "health_since": now_us - 240 * S}
    if kind == "stuck":
        shape[-6:] = 0.0
        still = now_us - int(random.integers(200, 1500)) * S
        columns |= {"health": 2, "health_since": still, "last_advance": still, "trend": 2, "trend_change_pct": -99.0}
    if kind == "silent":
        columns |= {"last_seen": now_us - int(random.integers(120, 4000)) * S}
    if kind == "warming":
        shape[:-3] = 0.0
        columns |= {"trend": 0, "complete_minutes": 3, "trend_change_pct": np.nan, "log_rate_sd": np.nan}
    minutes = (rate * 60 * shape * noise).astype(np.int64)
    fast = minutes[-1] / 60 if kind != "stuck" else 0.0
    slow = minutes[-10:].mean() / 60
    total = int(rate * ran_s * float(random.uniform(1.1, 3.0)))
    copied = int(min(rate * ran_s, total * 0.97))
    if kind == "done":
        columns |= {"progress": 100, "health": 3, "health_since": now_us - 400 * S, "last_seen": now_us - 400 * S}
        copied = total
    left = (total - copied) / max(np.sqrt(fast * slow), 1.0)
    eta = left if fast > 0 and kind != "done" else np.nan
    wide = np.nan if kind == "warming" else float(random.uniform(1.1, 1.6))
    return series(
        now_us,
        **{
            "first_seen": began,
            "last_advance": columns["last_seen"],
            "progress": int(100 * copied / total),
            "replicatesize": copied,
            "totalsize": total,
            "rate_fast_bps": fast,
            "rate_slow_bps": slow,
            "rate_peak_bps": float(minutes.max()) / 60,
            "eta_s": eta,
            "eta_low_s": eta / wide,
            "eta_high_s": eta * wide,
            "remain_time": -1 if kind == "warming" else int(min(left * 0.8, 10**6)),
            "migrate_speed": fast * 8 / 1e6 * 1.1,
            "minute_bytes": minutes,
            **columns,
        },
    )

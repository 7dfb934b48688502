"""Draws the plan of a simulated migration: its subtasks in order, with sizes and rates. It knows no time of day."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from taskstream.producer.fleet.behaviour import Behaviour

_BEFORE = ("CREATE_CLOUD_SERVER", "SSL_CONFIG", "ATTACH_AGENT_IMAGE")
_KINDS = (
    ("FORMAT_DISK_LINUX_FILE", "MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE", "CONFIGURE_LINUX_FILE"),
    ("FORMAT_DISK_LINUX_BLOCK", "MIGRATE_LINUX_BLOCK", "SYNC_LINUX_BLOCK", "CONFIGURE_LINUX_BLOCK"),
    ("FORMAT_DISK_WINDOWS", "MIGRATE_WINDOWS_BLOCK", "SYNC_WINDOWS_BLOCK", "CONFIGURE_WINDOWS"),
)
_COPY = len(_BEFORE) + 1
"""The index of the copy among the subtasks."""
_PLAIN = (Behaviour.STEADY, Behaviour.NOISY, Behaviour.STUTTERING)
_SLOWEST_BPS, _USUAL_BPS, _FASTEST_BPS = 2e6, 30e6, 400e6


@dataclass(frozen=True, slots=True)
class PlannedSubtask:
    """One subtask: its size in bytes and its usual rate in bytes per second."""

    name: str
    size: int
    rate_bps: float
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """The plan of one migration."""

    subtasks: tuple[PlannedSubtask, ...]
    first: int
    """The index of the subtask in which the simulation begins."""
    done: int
    """How many bytes of that subtask are done at the beginning."""
    onset_s: float
    """When the behaviour takes effect, in seconds after the start of the simulation."""


def plan_migration(behaviour: Behaviour, horizon_s: float, rng: random.Random) -> MigrationPlan:
    """A random plan for a simulation of `horizon_s` seconds.

    Half of the steady, noisy and stuttering migrations end within the simulation; all others do not.
    """
    ends = behaviour in _PLAIN and rng.random() < 0.5
    copy_s = horizon_s * (rng.uniform(0.2, 0.7) if ends else rng.uniform(1.0, 2.5))
    rate_bps = min(_FASTEST_BPS, max(_SLOWEST_BPS, _USUAL_BPS * math.exp(rng.gauss(0.0, 0.8))))
    format_disk, migrate, sync, configure = rng.choice(_KINDS)
    subtasks = (
        *(_short_subtask(name, horizon_s, rng) for name in (*_BEFORE, format_disk)),
        PlannedSubtask(migrate, max(1, int(rate_bps * copy_s)), rate_bps, is_copy=True),
        PlannedSubtask(sync, max(1, int(rate_bps * copy_s * rng.uniform(0.02, 0.1))), rate_bps),
        _short_subtask(configure, horizon_s, rng),
    )
    under_way = not ends and rng.random() < 0.6
    first = _COPY if under_way else rng.randrange(_COPY)
    done = int(subtasks[_COPY].size * rng.uniform(0.02, 0.3)) if under_way else 0
    return MigrationPlan(subtasks, first, done, rng.uniform(0.35, 0.6) * horizon_s)


def _short_subtask(name: str, horizon_s: float, rng: random.Random) -> PlannedSubtask:
    rate_bps = rng.uniform(1e6, 8e6)
    return PlannedSubtask(name, max(1, int(rate_bps * horizon_s * rng.uniform(0.003, 0.015))), rate_bps)

"""The subtasks that a simulated migration goes through, in order, with their sizes and rates. Drawn from given dice."""

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
"""The place of the copy among the subtasks."""
_PLAIN = (Behaviour.STEADY, Behaviour.NOISY, Behaviour.STUTTERING)
_SLOWEST_BPS, _USUAL_BPS, _FASTEST_BPS = 2e6, 30e6, 400e6


@dataclass(frozen=True, slots=True)
class Phase:
    """One subtask: how many bytes, and how many of them a second as a rule."""

    subtask_name: str
    size: int
    rate_bps: float
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class Journey:
    """A migration as it is planned. The agent is first heard in phase `first`, `done` bytes into it."""

    phases: tuple[Phase, ...]
    first: int
    done: int
    turn_s: float
    """When what is special about it happens, in seconds after the simulation's begin."""


def journey_of(behaviour: Behaviour, horizon_s: float, dice: random.Random) -> Journey:
    """A migration in a simulation of that length: half of the plain ones end within it, the others are under way."""
    ends = behaviour in _PLAIN and dice.random() < 0.5
    copy_s = horizon_s * (dice.uniform(0.2, 0.7) if ends else dice.uniform(1.0, 2.5))
    rate_bps = min(_FASTEST_BPS, max(_SLOWEST_BPS, _USUAL_BPS * math.exp(dice.gauss(0.0, 0.8))))
    format_disk, migrate, sync, configure = dice.choice(_KINDS)
    phases = (
        *(_short(name, horizon_s, dice) for name in (*_BEFORE, format_disk)),
        Phase(migrate, max(1, int(rate_bps * copy_s)), rate_bps, is_copy=True),
        Phase(sync, max(1, int(rate_bps * copy_s * dice.uniform(0.02, 0.1))), rate_bps),
        _short(configure, horizon_s, dice),
    )
    under_way = not ends and dice.random() < 0.6
    first = _COPY if under_way else dice.randrange(_COPY)
    done = int(phases[_COPY].size * dice.uniform(0.02, 0.3)) if under_way else 0
    return Journey(phases, first, done, dice.uniform(0.35, 0.6) * horizon_s)


def _short(name: str, horizon_s: float, dice: random.Random) -> Phase:
    rate_bps = dice.uniform(1e6, 8e6)
    return Phase(name, max(1, int(rate_bps * horizon_s * dice.uniform(0.003, 0.015))), rate_bps)

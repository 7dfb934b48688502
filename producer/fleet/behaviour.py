"""The kinds of simulated migrations: how many of each there are, and what each does to the rate and the reporting."""

from __future__ import annotations

import enum
import math


class Behaviour(enum.StrEnum):
    """The kind of a simulated migration. Most kinds take effect at the onset, a moment well within the simulation."""

    STEADY = "steady"
    NOISY = "noisy"
    SLOWING = "slowing"
    """Slows down to a fifth of its rate."""
    STUCK = "stuck"
    """Keeps reporting, but moves no more bytes."""
    PAUSING = "pausing"
    """Moves no bytes for a while."""
    SILENT = "silent"
    """Stops reporting."""
    RETURNING = "returning"
    """Stops reporting for a while."""
    RESTARTING = "restarting"
    """Restarts its copy from zero."""
    GROWING = "growing"
    """Its total size grows again and again."""
    STUTTERING = "stuttering"
    """Repeats its last report, and sometimes an older one."""


_MIX = (
    *(Behaviour.STEADY, Behaviour.SLOWING, Behaviour.STUCK, Behaviour.SILENT, Behaviour.STEADY),
    *(Behaviour.RESTARTING, Behaviour.NOISY, Behaviour.STUTTERING, Behaviour.STEADY, Behaviour.GROWING),
    *(Behaviour.STEADY, Behaviour.PAUSING, Behaviour.STEADY, Behaviour.RETURNING, Behaviour.NOISY),
    *(Behaviour.STEADY, Behaviour.STEADY, Behaviour.NOISY, Behaviour.STEADY, Behaviour.STEADY),
)
_SLOWDOWN_FRACTION = 0.1
"""How long a slowdown takes, as a fraction of the simulation."""
_PAUSE_FRACTION = 0.15
"""How long a pause or a silence lasts, as a fraction of the simulation."""
_SLOWED_FACTOR = 0.2


def behaviour_of(number: int) -> Behaviour:
    """The kind of the migration with this number. Every twenty have the same mix; the first four all differ."""
    return _MIX[number % len(_MIX)]


def rate_factor(behaviour: Behaviour, since_onset_s: float, horizon_s: float) -> float:
    """The factor, 0 to 1, on a migration's usual rate, this long after its onset (negative: before it)."""
    if since_onset_s < 0:
        return 1.0
    if behaviour is Behaviour.SLOWING:
        return max(_SLOWED_FACTOR, 1.0 - (1.0 - _SLOWED_FACTOR) * since_onset_s / (_SLOWDOWN_FRACTION * horizon_s))
    if behaviour is Behaviour.STUCK or (behaviour is Behaviour.PAUSING and since_onset_s < _PAUSE_FRACTION * horizon_s):
        return 0.0
    return 1.0


def silence_s(behaviour: Behaviour, horizon_s: float) -> float:
    """For how many seconds after its onset a migration sends no reports."""
    if behaviour is Behaviour.SILENT:
        return math.inf
    return _PAUSE_FRACTION * horizon_s if behaviour is Behaviour.RETURNING else 0.0


def rate_deviation(behaviour: Behaviour) -> float:
    """The standard deviation of the natural logarithm of the rate."""
    return 0.5 if behaviour is Behaviour.NOISY else 0.15

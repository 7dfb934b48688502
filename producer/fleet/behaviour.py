"""What kind of a migration a simulated one is: the kinds, how many of each, and what each does to rate and voice."""

from __future__ import annotations

import enum
import math


class Behaviour(enum.StrEnum):
    """What is special about a migration. Most of it happens at its turn, a moment well inside the simulation."""

    STEADY = "steady"
    NOISY = "noisy"
    SLOWING = "slowing"
    """Fades to a fifth of its rate."""
    STUCK = "stuck"
    """Goes on reporting, and nothing moves any more."""
    PAUSING = "pausing"
    """The same for a while."""
    SILENT = "silent"
    """Is not heard any more."""
    RETURNING = "returning"
    """The same for a while."""
    RESTARTING = "restarting"
    """Begins its copy again from nothing."""
    GROWING = "growing"
    """Finds more and more to copy."""
    STUTTERING = "stuttering"
    """Says things twice, and old things again."""


_MIX = (
    *(Behaviour.STEADY, Behaviour.SLOWING, Behaviour.STUCK, Behaviour.SILENT, Behaviour.STEADY),
    *(Behaviour.RESTARTING, Behaviour.NOISY, Behaviour.STUTTERING, Behaviour.STEADY, Behaviour.GROWING),
    *(Behaviour.STEADY, Behaviour.PAUSING, Behaviour.STEADY, Behaviour.RETURNING, Behaviour.NOISY),
    *(Behaviour.STEADY, Behaviour.STEADY, Behaviour.NOISY, Behaviour.STEADY, Behaviour.STEADY),
)
_FADE_PART = 0.1
_PAUSE_PART = 0.15
_FADED = 0.2


def behaviour_of(number: int) -> Behaviour:
    """The kind of the migration of this number: each twenty have the same mix, and the first four are all unlike."""
    return _MIX[number % len(_MIX)]


def rate_part(behaviour: Behaviour, since_turn_s: float, horizon_s: float) -> float:
    """What part of its usual rate a migration has, so long after its turn (before it: negative)."""
    if since_turn_s < 0:
        return 1.0
    if behaviour is Behaviour.SLOWING:
        return max(_FADED, 1.0 - (1.0 - _FADED) * since_turn_s / (_FADE_PART * horizon_s))
    if behaviour is Behaviour.STUCK or (behaviour is Behaviour.PAUSING and since_turn_s < _PAUSE_PART * horizon_s):
        return 0.0
    return 1.0


def quiet_s(behaviour: Behaviour, horizon_s: float) -> float:
    """For how long after its turn nothing is heard of a migration."""
    if behaviour is Behaviour.SILENT:
        return math.inf
    return _PAUSE_PART * horizon_s if behaviour is Behaviour.RETURNING else 0.0


def rate_deviation(behaviour: Behaviour) -> float:
    """How far the logarithm of the rate wanders: its standard deviation."""
    return 0.5 if behaviour is Behaviour.NOISY else 0.15

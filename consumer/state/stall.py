"""Decides when a series has stalled: it reports, but neither its bytes nor its percentage grow. Pure, compiled.

The limit is the quiet limit, made of the typical gap between the series' reports. `silence` holds the time since the
last report against the same limit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.schemas.compiled import compiled

QUIET_GAPS = 5.0
"""How many typical gaps of quiet are normal."""


@compiled
def is_stalled(last_advance: int, last_seen: int, limit_s: float) -> bool:
    """Whether more than `limit_s` passed between the last growth and the last report (both in microseconds)."""
    return (last_seen - last_advance) / US_PER_S > limit_s


@compiled
def quiet_limit(gap_s: float, bucket_s: float) -> float:
    """The longest normal quiet in seconds: one bucket, or five typical gaps if that is more. gap_s: NaN if unknown."""
    if math.isnan(gap_s):
        return bucket_s
    return max(bucket_s, QUIET_GAPS * gap_s)


def quiet_limits_s(typical_gaps_s: npt.NDArray[np.float64], bucket_us: int) -> npt.NDArray[np.float64]:
    """`quiet_limit` of each of these gaps."""
    limits_s: npt.NDArray[np.float64] = np.fmax(bucket_us / US_PER_S, QUIET_GAPS * typical_gaps_s)
    return limits_s


@compiled
def typical_gap(gap_s: float, step_s: float, limit_s: float) -> float:
    """The smoothed time between reports in seconds, after a gap of `step_s`; `gap_s` is NaN before the first gap.

    A gap longer than `limit_s` counts as `limit_s`, so that one silence does not raise the limit without bound.

    Source: the smoothed round-trip time of RFC 6298, section 2 (gain 1/8).
    """
    step_s = min(step_s, limit_s)
    if math.isnan(gap_s):
        return step_s
    return gap_s + (step_s - gap_s) / 8.0

"""The observed rate: an exponentially weighted mean for samples at irregular times. Pure, compiled."""

from __future__ import annotations

import math

from taskstream.schemas.compiled import compiled

US_PER_S = 1_000_000


@compiled
def ewma(mean: float, sample: float, step_us: int, total_us: int, half_life_s: float) -> float:
    """The mean after one more sample that held for the last `step_us` of `total_us` (this step included).

    A sample's weight halves every half-life, and the mean is divided by the sum of the weights, so that early samples
    are not dragged towards zero: the first one is the mean. With a = 2^(-step/h), the weights of continuous time sum
    to 1 - 2^(-total/h), and mean + (sample - mean) (1 - a) / (1 - 2^(-total/h)) is that quotient, kept as one number.

    Source: A. Eckner, "Algorithms for unevenly spaced time series: moving averages and other rolling operators"
    (2019), section on exponential moving averages, previous-point form with the sample at the end of its step; the
    bias correction as in D. Kingma and J. Ba, "Adam" (2015), section 3.
    """
    decay = math.log(2.0) / (half_life_s * US_PER_S)
    return mean + (sample - mean) * (math.expm1(-step_us * decay) / math.expm1(-total_us * decay))


@compiled
def typical_gap(gap_s: float, step_s: float, limit_s: float) -> float:
    """The smoothed time between reports, after one more. NaN before the first; a silence counts as the limit at most.

    Source: the smoothed round-trip time of RFC 6298, section 2 (gain 1/8).
    """
    step_s = min(step_s, limit_s)
    if math.isnan(gap_s):
        return step_s
    return gap_s + (step_s - gap_s) / 8.0


@compiled
def quiet_limit(gap_s: float, width_s: float) -> float:
    """Seconds of quiet that are too long: one bucket, or five typical gaps if that is more."""
    if math.isnan(gap_s):
        return width_s
    return max(width_s, 5.0 * gap_s)

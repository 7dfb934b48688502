"""The observed rates of a series: exponentially weighted means of samples at irregular times. Pure, compiled."""

from __future__ import annotations

import math

from taskstream.consumer.state.series import Rows
from taskstream.schemas.compiled import compiled

US_PER_S = 1_000_000
SLOW_BUCKETS = 10.0
"""The half-life of the slow rate in buckets; that of the fast rate is one bucket."""


@compiled
def update_rates(rows: Rows, slot: int, gained_bytes: int, step_us: int, now_us: int, bucket_us: int) -> None:
    """Update the fast, slow and peak rate of one row (bytes/s) with the sample `gained_bytes / step_us`.

    now_us: the end of the sample. The first sample since `rated_from` is itself all three rates.
    """
    row = rows[slot]
    sample_bps = float(gained_bytes) / (step_us / US_PER_S)
    measured_us = now_us - row["rated_from"]
    bucket_s = bucket_us / US_PER_S
    if row["samples"] == 0:
        row["rate_fast_bps"] = sample_bps
        row["rate_slow_bps"] = sample_bps
        row["rate_peak_bps"] = sample_bps
    else:
        row["rate_fast_bps"] = ewma(row["rate_fast_bps"], sample_bps, step_us, measured_us, bucket_s)
        row["rate_slow_bps"] = ewma(row["rate_slow_bps"], sample_bps, step_us, measured_us, SLOW_BUCKETS * bucket_s)
        row["rate_peak_bps"] = max(row["rate_peak_bps"], row["rate_fast_bps"])
    row["samples"] += 1


@compiled
def ewma(mean: float, sample: float, step_us: int, total_us: int, half_life_s: float) -> float:
    """The mean after one more sample that held for the last `step_us` of `total_us` (this step included).

    A sample's weight halves every half-life. The mean is divided by the sum of the weights, so that early samples are
    not biased towards zero: the first sample is the mean. With a = 2^(-step/h), the weights of continuous time sum to
    1 - 2^(-total/h), and mean + (sample - mean) (1 - a) / (1 - 2^(-total/h)) is that quotient, stored as one number.

    Source: A. Eckner, "Algorithms for unevenly spaced time series: moving averages and other rolling operators"
    (2019), section on exponential moving averages, previous-point form with the sample at the end of its step; the
    bias correction as in D. Kingma and J. Ba, "Adam" (2015), section 3.
    """
    decay = math.log(2.0) / (half_life_s * US_PER_S)
    return mean + (sample - mean) * (math.expm1(-step_us * decay) / math.expm1(-total_us * decay))

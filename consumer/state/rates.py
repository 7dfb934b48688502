"""The observed rates of a series: exponentially weighted means of samples at irregular times. Pure, compiled."""

from __future__ import annotations

import math

from taskstream.consumer.state.series import Rows
from taskstream.schemas.compiled import compiled

US_PER_S = 1_000_000
SLOW_BUCKETS = 10.0
"""The half-life of the slow rate in buckets; that of the fast rate is one bucket."""
GROWTH_BUCKETS = 4.0
"""How many buckets of copying one growth of the total counts as, at most."""


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
def update_growth(rows: Rows, slot: int, totalsize: int, step_us: int, now_us: int, bucket_us: int) -> None:
    """Update growth_bps of one row (bytes/s by which its total grows) with the growth since the last report.

    Call it after `update_rates`. A total that was not known before (0, or below the bytes that were done) and one that
    falls give no growth. A growth counts as at most what the slow rate copies in four buckets, so that one correction
    of the total is not taken for a total that runs away.
    """
    row = rows[slot]
    bucket_s = bucket_us / US_PER_S
    grown_bytes = 0.0
    if is_total_known(row["totalsize"], row["replicatesize"]):
        most_bytes = row["rate_slow_bps"] * (GROWTH_BUCKETS * bucket_s)
        grown_bytes = min(max(float(totalsize) - float(row["totalsize"]), 0.0), most_bytes)
    sample_bps = grown_bytes / (step_us / US_PER_S)
    if row["samples"] == 1:
        row["growth_bps"] = sample_bps
        return
    mean_bps = 0.0 if math.isnan(row["growth_bps"]) else row["growth_bps"]
    row["growth_bps"] = ewma(mean_bps, sample_bps, step_us, now_us - row["rated_from"], SLOW_BUCKETS * bucket_s)


@compiled
def is_total_known(totalsize: int, replicatesize: int) -> bool:
    """Whether this total, in bytes, can be one of which `replicatesize` bytes are done."""
    return totalsize > 0 and totalsize >= replicatesize


@compiled
def ewma(mean: float, sample: float, step_us: float, total_us: float, half_life_s: float) -> float:
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

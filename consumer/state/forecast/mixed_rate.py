"""The rate that an ETA is computed with: three means of the observed rate, each weighed by how well it foretold.

The means have half-lives of one bucket, of ten buckets, and none: the plain mean. Each foretells the rate of the next
block of 4 and of 32 buckets; its squared log errors are kept as sums that forget. A mean weighs more, the smaller its
error is in blocks about as long as the time that is left. Time without bytes counts only up to the stall limit, so
that a stall lowers no mean. Pure, compiled.
"""

from __future__ import annotations

import math

from taskstream.consumer.state.rates import SLOW_BUCKETS, US_PER_S, ewma
from taskstream.consumer.state.series import BLOCKS, MEANS, Rows
from taskstream.schemas.compiled import compiled

PLAIN = MEANS - 1
"""The index of the plain mean."""
SHORT_BUCKETS, LONG_BUCKETS = 4.0, 32.0
"""The lengths of the blocks."""
KEPT = 0.85
"""The part of a sum of errors that a further block leaves."""
MOST_ERROR = 4.0
"""The most that one block adds: a factor of e^2, up or down."""
NO_RATE_ERROR = 2.0
"""The log error of a mean that foretold no bytes."""
PRIOR_BLOCKS = 0.5
"""The weight of the prior, in blocks."""
STEADY_VARIANCE = 10.0
"""The prior variance of the end for the interval, in variances of the log rates of the last buckets ..."""
LEAST_VARIANCE = 0.05 * 0.05
"""... and what is added to it ..."""
MOST_VARIANCE = 0.3
"""... and its limit, which holds too where that variance is unknown."""
DISAGREEMENT = 3.0
"""How often the variance between the means counts in the interval."""
NEAREST_BUCKETS, FURTHEST_BUCKETS = 0.5, 1e6
"""The bounds of the time left that the errors are looked up for."""


@compiled
def counted_s(gained_bytes: int, step_us: int, paused_us: int, limit_s: float) -> float:
    """How many seconds of a step count: all if it has bytes, else those within `limit_s` since the last advance.

    paused_us: the time from the last advance to the begin of the step.
    """
    if gained_bytes > 0:
        return step_us / US_PER_S
    return min(max(limit_s - paused_us / US_PER_S, 0.0), step_us / US_PER_S)


@compiled
def update_means(rows: Rows, slot: int, gained_bytes: int, step_s: float, bucket_s: float) -> None:
    """Update the means and the blocks of one row with `gained_bytes` in `step_s` counted seconds (see `counted_s`)."""
    if step_s <= 0.0:
        return
    row = rows[slot]
    means = row["eta_rates"]
    sample_bps = float(gained_bytes) / step_s
    is_first = not row["counted_s"] > 0.0
    row["counted_s"] = step_s if is_first else row["counted_s"] + step_s
    if is_first:
        for mean in range(MEANS):
            means[mean] = sample_bps
    else:
        step_us, total_us = step_s * US_PER_S, row["counted_s"] * US_PER_S
        means[0] = ewma(means[0], sample_bps, step_us, total_us, bucket_s)
        means[1] = ewma(means[1], sample_bps, step_us, total_us, SLOW_BUCKETS * bucket_s)
        means[PLAIN] = means[PLAIN] + (sample_bps - means[PLAIN]) * (step_s / row["counted_s"])
    for block in range(BLOCKS):
        row["block_s"][block] += step_s
        row["block_bytes"][block] += float(gained_bytes)
        if row["block_s"][block] >= (SHORT_BUCKETS if block == 0 else LONG_BUCKETS) * bucket_s:
            _end_block(rows, slot, block)


@compiled
def _end_block(rows: Rows, slot: int, block: int) -> None:
    """Score what each mean foretold when the block began, and begin the next one. A block without bytes scores none."""
    row = rows[slot]
    means, foretold, errors = row["eta_rates"], row["block_rates"][block], row["block_errors"][block]
    rate_bps = row["block_bytes"][block] / row["block_s"][block]
    if rate_bps > 0.0 and foretold[PLAIN] > 0.0:
        for mean in range(MEANS):
            error = math.log(rate_bps / foretold[mean]) if foretold[mean] > 0.0 else NO_RATE_ERROR
            errors[mean] = KEPT * errors[mean] + min(error * error, MOST_ERROR)
        row["block_counts"][block] = KEPT * row["block_counts"][block] + 1.0
    for mean in range(MEANS):
        foretold[mean] = means[mean]
    row["block_s"][block] = 0.0
    row["block_bytes"][block] = 0.0


@compiled
def nearness(length_buckets: float, left_buckets: float) -> float:
    """How much the errors of blocks of this length say about the time left: 1 if it is as long, towards 0 if not."""
    ratio = left_buckets / length_buckets
    return 2.0 * ratio / (1.0 + ratio * ratio)


@compiled
def prior_variance(half_life_buckets: float, left_buckets: float) -> float:
    """The variance of a mean's log error before any was seen: 0.4 for a mean much shorter than the time left, to 0.25.

    Source: learnt on simulated copies, as were the constants above.
    """
    part = half_life_buckets / left_buckets
    return 0.4 - 0.15 * part / (part + 0.13)


@compiled
def mixed_end(rows: Rows, slot: int, remaining_bytes: float, bucket_s: float) -> tuple[float, float]:
    """The logarithm of the seconds left of one row, and its standard deviation. Its plain mean must be above zero.

    With V_k = (p_k / 2 + sum_j w_j E_jk) / (1/2 + sum_j w_j N_j), ln rate = sum_k V_k^-8 ln r_k / sum_k V_k^-8. r_k are
    the means, E_jk the sums of their squared log errors over N_j blocks of length j, w_j is `nearness` and p_k
    `prior_variance`. The w and p need the time left: that of the plain mean, then that of the first result. The
    variance is the mean of the V_k by the same weights, with a prior of the row's own noise, and three times the
    variance of the ln r_k between them.

    Source: a mixture of forecasters by their past squared errors (J. Bates and C. Granger, "The Combination of
    Forecasts", 1969, method for changing errors), with a higher power, which favours the best one more. The form was
    chosen by its score on simulated copies (`make bench ARGS=eta`).
    """
    row = rows[slot]
    means, errors, counts = row["eta_rates"], row["block_errors"], row["block_counts"]
    counted_buckets = row["counted_s"] / bucket_s
    noise = row["log_rate_sd"]
    own = MOST_VARIANCE if math.isnan(noise) else min(STEADY_VARIANCE * noise * noise + LEAST_VARIANCE, MOST_VARIANCE)
    log_left = math.log(remaining_bytes)
    left_s = remaining_bytes / means[PLAIN]
    middle = 0.0
    variance = 0.0
    for _ in range(2):
        left_buckets = min(max(left_s / bucket_s, NEAREST_BUCKETS), FURTHEST_BUCKETS)
        short, long = nearness(SHORT_BUCKETS, left_buckets), nearness(LONG_BUCKETS, left_buckets)
        blocks = short * counts[0] + long * counts[1]
        weights = 0.0
        middle = 0.0
        square = 0.0
        variance = 0.0
        for mean in range(MEANS):
            if not means[mean] > 0.0:
                continue
            length = counted_buckets
            if mean != PLAIN:
                length = min(1.0 if mean == 0 else SLOW_BUCKETS, counted_buckets)
            seen = short * errors[0, mean] + long * errors[1, mean]
            expected = (PRIOR_BLOCKS * prior_variance(length, left_buckets) + seen) / (PRIOR_BLOCKS + blocks)
            squared = expected * expected
            weight = 1.0 / (squared * squared * squared * squared)
            log_rate = math.log(means[mean])
            weights += weight
            middle += weight * log_rate
            square += weight * log_rate * log_rate
            variance += weight * ((PRIOR_BLOCKS * own + seen) / (PRIOR_BLOCKS + blocks))
        middle = middle / weights
        variance = variance / weights + DISAGREEMENT * max(square / weights - middle * middle, 0.0)
        left_s = math.exp(min(log_left - middle, 700.0))
    return log_left - middle, math.sqrt(variance)

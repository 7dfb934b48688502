"""How probable it is that a task has ended by a time, and how many of a set of tasks have. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

QUANTILE_90: Final = 1.2815515655446004
"""The standard normal distribution has a tenth above it, and four fifths between it and its negative."""
_PLACES: Final = 9
"""Decimal places of a count that are not rounding errors."""


@dataclass(frozen=True, slots=True)
class CountRanges:
    """[group] how many tasks have ended by a time: the expected number, and the bounds of its 80 percent interval."""

    expected: Floats
    low: Ints
    high: Ints


def end_chances(within_s: Floats, middle_s: Floats, low_s: Floats, high_s: Floats) -> Floats:
    """[task] the probability that it ends within this time, by the median and the 80 percent interval of its end.

    All are seconds from one moment; NaN where one of them is. The logarithm of the time to the end has a normal
    distribution to each side of the median, with the bounds as its quantiles of 10 and 90 percent: with
    z = 1.2816 ln(t / middle) / ln(high / middle) for t after the median, and ln(middle / low) as the divisor for t
    before it, the probability is Phi(z). That is how the interval of a subtask is made (`update_eta`: the median times
    and by exp(w)); that the tails beyond the interval are those of a normal distribution is an assumption.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.log(within_s / middle_s)
        spread = np.where(distance >= 0.0, np.log(high_s / middle_s), np.log(middle_s / low_s))
        z = np.where(distance == 0.0, 0.0, QUANTILE_90 * distance / spread)
    halves = np.fromiter(map(math.erf, (z / math.sqrt(2.0)).tolist()), np.float64, z.shape[0])
    return 0.5 * (1.0 + halves)


def count_ranges(chances: Floats, groups: Ints, complete: Ints) -> CountRanges:
    """How many tasks of each group have ended by the time, those that are complete now among them.

    chances: [task] of the incomplete ones; a task whose probability is not known (NaN) counts as not ended, and the
    caller has to say how many these are. groups: [task] the number of its group. complete: [group] how many are.

    The number of ended tasks is a sum of independent events with the probabilities p (Poisson's binomial distribution):
    its mean is the sum of p, its variance the sum of p (1 - p), and it is taken as normal with a correction for
    continuity: the interval is the whole numbers from 1.2816 standard deviations and a half below the mean to as much
    above it, within the tasks that there are. Tasks that share a bottleneck are late together: they are not
    independent, and the true interval is wider than this.
    """
    known = ~np.isnan(chances)
    p, of = chances[known], groups[known]
    size = complete.shape[0]
    expected = np.bincount(of, weights=p, minlength=size)
    width = QUANTILE_90 * np.sqrt(np.bincount(of, weights=p * (1.0 - p), minlength=size))
    low = np.maximum(np.ceil(np.round(expected - width - 0.5, _PLACES)), 0.0)
    high = np.minimum(np.floor(np.round(expected + width + 0.5, _PLACES)), np.bincount(of, minlength=size))
    return CountRanges(
        (expected + complete).astype(np.float64), low.astype(np.int64) + complete, high.astype(np.int64) + complete
    )

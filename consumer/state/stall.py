"""Decides when a series has stalled: it reports, but neither its bytes nor its percentage grow. Pure, compiled.

It also computes the limits, from the gaps that the series had so far: `stall_limit_s` from those between its advances,
`quiet_limit_s` from those between its reports. `silence` compares the time since the last report with the latter.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import Rows
from taskstream.schemas.compiled import compiled

QUIET_GAPS = 4.0
"""How many inspected gaps between reports are normal quiet."""
STALL_GAPS = 2.5
"""How many inspected gaps between advances are normal."""
FIRST_BUCKETS = 10.0
"""The limit in buckets before any gap is known."""
YOUNG_BUCKETS = 3.0
"""The least limit in buckets while the known gaps sum to less than FIRST_BUCKETS; after that it is one bucket."""
LEAST_GAIN = 1.0 / 64.0
"""The weight of a new gap in the means, once that many are known."""
LONGEST_GAP = 2.0
"""A gap counts as at most this many limits, so that one outage does not raise the limit without bound."""


@compiled
def is_stalled(last_advance: int, last_seen: int, limit_s: float) -> bool:
    """Whether more than `limit_s` passed between the last growth and the last report (both in microseconds)."""
    return (last_seen - last_advance) / US_PER_S > limit_s


@compiled
def limit_or_first(limit_s: float, bucket_s: float) -> float:
    """A row's limit in seconds, or ten buckets where it has none yet (NaN)."""
    return FIRST_BUCKETS * bucket_s if math.isnan(limit_s) else limit_s


def quiet_limits_s(limits_s: npt.NDArray[np.float64], bucket_us: int) -> npt.NDArray[np.float64]:
    """`limit_or_first` of each of these quiet_limit_s."""
    first_s = FIRST_BUCKETS * (bucket_us / US_PER_S)
    known: npt.NDArray[np.float64] = np.where(np.isnan(limits_s), first_s, limits_s)
    return known


@compiled
def gap_limit(count: int, mean_s: float, square_s2: float, gaps: float, bucket_s: float) -> float:
    """The longest normal gap in seconds: `gaps` inspected gaps, and at least one bucket, or three of a young series.

    count, mean_s, square_s2: the number of known gaps, their mean, and the mean of their squares (s^2).

    Source: the inspection paradox of renewal theory (W. Feller, "An Introduction to Probability Theory and Its
    Applications", volume II, section I.4): the gap that a random moment lies in is square / mean long on average. With
    bursts or chunks this is about the pause, although most gaps are short.
    """
    is_young = count * mean_s < FIRST_BUCKETS * bucket_s
    least_s = YOUNG_BUCKETS * bucket_s if is_young else bucket_s
    return max(least_s, gaps * (square_s2 / mean_s))


@compiled
def mean_with(mean: float, sample: float, count: int) -> float:
    """The mean after one more sample, the `count`th: plain for the first 64, then exponentially weighted."""
    return mean + max(1.0 / count, LEAST_GAIN) * (sample - mean)


@compiled
def with_gap(
    gap_us: int, count: int, mean_s: float, square_s2: float, limit_s: float, gaps: float, bucket_us: int
) -> tuple[float, float, float]:
    """The mean (s), the mean square (s^2) and the limit (s) after one more gap > 0, the `count`th.

    limit_s: the limit so far, of which a gap counts as no more than `LONGEST_GAP` times.
    """
    bucket_s = bucket_us / US_PER_S
    gap_s = min(gap_us / US_PER_S, LONGEST_GAP * limit_or_first(limit_s, bucket_s))
    is_first = count == 1
    mean_s = gap_s if is_first else mean_with(mean_s, gap_s, count)
    square_s2 = gap_s * gap_s if is_first else mean_with(square_s2, gap_s * gap_s, count)
    return mean_s, square_s2, gap_limit(count, mean_s, square_s2, gaps, bucket_s)


@compiled
def update_report_gaps(rows: Rows, slot: int, gap_us: int, bucket_us: int) -> None:
    """Count a gap > 0 between two reports of one row, and set its quiet limit anew."""
    row = rows[slot]
    count = row["report_gaps"] + 1
    mean_s, square_s2, limit_s = with_gap(
        gap_us, count, row["typical_gap_s"], row["report_gap_square_s2"], row["quiet_limit_s"], QUIET_GAPS, bucket_us
    )
    row["report_gaps"] = count
    row["typical_gap_s"] = mean_s
    row["report_gap_square_s2"] = square_s2
    row["quiet_limit_s"] = limit_s


@compiled
def update_advance_gaps(rows: Rows, slot: int, gap_us: int, bucket_us: int) -> None:
    """Count a gap > 0 between two advances of one row, and set its stall limit anew."""
    row = rows[slot]
    count = row["advance_gaps"] + 1
    mean_s, square_s2, limit_s = with_gap(
        gap_us, count, row["advance_gap_s"], row["advance_gap_square_s2"], row["stall_limit_s"], STALL_GAPS, bucket_us
    )
    row["advance_gaps"] = count
    row["advance_gap_s"] = mean_s
    row["advance_gap_square_s2"] = square_s2
    row["stall_limit_s"] = limit_s

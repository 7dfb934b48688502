"""How long something takes, learnt from what ended and from what still runs: the Kaplan-Meier estimate. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_ROUNDED = 1.0 + 1e-9
"""A product of many parts is a little more or less than what it stands for."""


@dataclass(frozen=True, slots=True)
class Survival:
    """The part that lasts longer than each of these times: a step at each."""

    times_s: Floats
    """Rising."""
    parts: Floats
    """Falling, from below 1."""
    ended: int
    """From how many ends it was learnt."""

    def left_s(self, part: float, lasted_s: float = 0.0) -> float | None:
        """The time after which this part of those that lasted `lasted_s` has ended, from then on, in seconds.

        None: too few of those that lasted so long have ended to know.
        """
        at = int(np.searchsorted(self.times_s, lasted_s, side="right"))
        lasting = self.parts[at - 1] if at else 1.0
        reached = np.flatnonzero(self.parts[at:] <= (1.0 - part) * lasting * _ROUNDED)
        return float(self.times_s[at + reached[0]]) - lasted_s if lasting > 0.0 and reached.size else None

    def each_left_s(self, part: float, lasted_s: Floats) -> Floats:
        """[task] `left_s` of many at once; NaN where that is None."""
        at, lasting = self._lasting(lasted_s)
        reached = np.searchsorted(-self.parts, -(1.0 - part) * lasting * _ROUNDED, side="left")
        reached = np.where(lasting > 0.0, np.maximum(reached, at), self.times_s.shape[0])
        left_s: Floats = np.append(self.times_s, np.nan)[reached] - lasted_s
        return left_s

    def ended_within(self, within_s: Floats, lasted_s: Floats) -> Floats:
        """[task] the part of those that lasted `lasted_s` that ends within this time; NaN: none that lasted so long.

        That is 1 - S(lasted + within) / S(lasted), where S is the part that lasts longer than a time.
        """
        at, lasting = self._lasting(lasted_s)
        later = self._lasting(lasted_s + within_s)[1]
        known = (at < self.times_s.shape[0]) & (lasting > 0.0)
        return np.where(known, 1.0 - later / np.where(known, lasting, 1.0), np.nan)

    def _lasting(self, lasted_s: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
        """[task] how many ends are before this time, and the part that lasts longer."""
        at = np.searchsorted(self.times_s, lasted_s, side="right")
        return at, np.append(1.0, self.parts)[at]


def survival(durations_s: Floats, has_ended: Flags) -> Survival:
    """The estimate from these durations; of those that have not ended, the duration so far.

    Without those that still run, the quick ones would be learnt first, and every estimate would be too short.

    Source: E. Kaplan and P. Meier, "Nonparametric Estimation from Incomplete Observations" (1958).
    """
    order = np.lexsort((~has_ended, durations_s))
    ended = has_ended[order]
    at_risk = np.arange(durations_s.shape[0], 0, -1)
    parts = np.cumprod(1.0 - ended / at_risk).astype(np.float64)
    return Survival(durations_s[order][ended], parts[ended], int(np.count_nonzero(ended)))

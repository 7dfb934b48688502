"""Compares another machine's clock with this one's. It does no I/O."""

from __future__ import annotations

from taskstream.compose.doctor.finding import Finding, bad, good

MAX_DIFFERENCE_S = 5.0
"""Rates are computed from times of receipt: a larger difference between edges distorts them."""


def clock_finding(
    check: str, whose: str, theirs_s: float, before_s: float, after_s: float, step_s: float = 0.0
) -> Finding:
    """Compare a clock with this machine's.

    `theirs_s` was read between `before_s` and `after_s` of this machine's clock, all in seconds since 1970 UTC, and is
    rounded down to a multiple of `step_s`. The estimate of the difference is theirs_s + step_s / 2 minus the middle of
    before_s and after_s; its error is at most (after_s - before_s + step_s) / 2.
    """
    ours_s = (before_s + after_s) / 2
    unsure_s = (after_s - before_s + step_s) / 2
    ahead_s = theirs_s + step_s / 2 - ours_s
    direction = "ahead of" if ahead_s > 0 else "behind"
    what = f"{whose} is {abs(ahead_s):.2f} s {direction} this machine, plus or minus {unsure_s:.2f} s"
    if abs(ahead_s) > MAX_DIFFERENCE_S + unsure_s:
        return bad(check, what, "synchronize the clocks of all machines with a time service (chrony, ntpd)")
    return good(check, what)

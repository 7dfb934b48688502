"""Another machine's clock beside ours. It only compares."""

from __future__ import annotations

from taskstream.compose.doctor.finding import Finding, bad, good

MOST_S = 5.0
"""Rates are made of times of receipt: edges that differ by more than this blur them."""


def clock_finding(
    check: str, whose: str, theirs_s: float, before_s: float, after_s: float, step_s: float = 0.0
) -> Finding:
    """Theirs was read between two moments of ours; it tells seconds to within `step_s`."""
    ours_s = (before_s + after_s) / 2
    unsure_s = (after_s - before_s + step_s) / 2
    ahead_s = theirs_s + step_s / 2 - ours_s
    words = "ahead of" if ahead_s > 0 else "behind"
    what = f"{whose} is {abs(ahead_s):.2f} s {words} this machine, give or take {unsure_s:.2f} s"
    if abs(ahead_s) > MOST_S + unsure_s:
        return bad(check, what, "let a time service (chrony, ntpd) set the clocks of all machines")
    return good(check, what)

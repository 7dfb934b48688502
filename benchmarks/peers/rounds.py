"""Ratios of measurements that were made in the same round, with their spread. It measures nothing."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def ratio_text(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Ours divided by theirs, round by round: the median, and the smallest and largest in brackets.

    Both are [rounds], of the same rounds in the same order; theirs are not 0.

    Raises:
        ValueError: the numbers of rounds differ, or there is none.
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} and {len(theirs)} rounds have no ratios: measure both in the same rounds")
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: every round begins one name later, so that nobody is always the first."""
    begin = number % len(names)
    return [*names[begin:], *names[:begin]]

"""What a wait that fails tells: the condition and what was seen last."""

from __future__ import annotations

import pytest

from tests.waiting import wait_until


def test_it_gives_the_first_true_value():
    values = iter([0, "", [1]])

    assert wait_until(lambda: next(values)) == [1]


def test_one_that_never_comes_true_names_the_condition_and_what_was_seen_last():
    counted = [3]
    with pytest.raises(AssertionError, match=r"too few: not so after 0 s: len\(counted\) == 4; len\(counted\) is 1"):
        wait_until(lambda: len(counted) == 4, "too few", limit_s=0)


def test_one_without_a_comparison_shows_its_value():
    def never() -> list[int]:
        return []

    with pytest.raises(AssertionError, match=r"it is \[\]"):
        wait_until(never, limit_s=0)

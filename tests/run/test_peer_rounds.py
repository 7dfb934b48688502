"""The ratios of `make bench-peers`: round by round, with their spread, and nobody always first."""

from __future__ import annotations

import pytest

from benchmarks.peers.rounds import in_turn, ratio_text


def test_a_ratio_is_the_median_of_the_rounds_with_the_smallest_and_the_largest():
    assert ratio_text([1.0, 6.0, 3.0], [2.0, 2.0, 2.0]) == "1.50 (0.50 to 3.00)"


def test_a_ratio_pairs_the_measurements_of_one_round():
    assert ratio_text([10.0, 100.0], [5.0, 50.0]) == "2.00 (2.00 to 2.00)"


@pytest.mark.parametrize("theirs", [[], [1.0, 2.0]])
def test_measurements_of_other_rounds_have_no_ratio(theirs):
    with pytest.raises(ValueError, match="measure both in the same rounds"):
        ratio_text([1.0] if theirs else [], theirs)


def test_every_round_begins_with_another_name():
    assert [in_turn(["a", "b", "c"], number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]

"""The benchmarks' comparison of ratios with a baseline. Nothing is measured here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ratios import Ratio, compare, read_baseline, table_of, write_baseline

BEFORE = Ratio(0.40, 0.38, 0.42)


def test_a_ratio_is_that_of_the_cheapest_rounds_of_each_group() -> None:
    groups = [[(1.0, 20.0), (4.0, 10.0)], [(9.0, 10.0), (3.0, 11.0)], [(2.0, 10.0), (2.0, 10.0)]]
    assert Ratio.of(groups) == Ratio(pytest.approx(0.2), pytest.approx(0.1), pytest.approx(0.3))


@pytest.mark.parametrize(
    ("now", "is_worse"),
    [
        (Ratio(0.45, 0.43, 0.47), False),  # 12 percent more
        (Ratio(0.50, 0.48, 0.52), True),  # 25 percent more
        (Ratio(0.50, 0.45, 0.60), False),  # as much, but not in each group
        (Ratio(0.20, 0.19, 0.21), False),  # better
    ],
)
def test_worse_is_more_than_15_percent_in_each_group_of_rounds(now: Ratio, *, is_worse: bool) -> None:
    (compared,) = compare({"fold": now}, {"fold": BEFORE})
    assert compared.is_worse is is_worse
    assert ("WORSE" in table_of([compared])) is is_worse


def test_a_pair_without_a_baseline_is_new_and_not_worse() -> None:
    (compared,) = compare({"fold": BEFORE}, {})
    assert not compared.is_worse
    assert table_of([compared]).endswith("new")


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_baseline(tmp_path / "baseline.json", {"fold": BEFORE})
    assert read_baseline(tmp_path / "baseline.json") == {"fold": BEFORE}


def test_the_committed_baseline_can_be_read() -> None:
    assert all(
        each.low <= each.median <= each.high
        for each in read_baseline(Path(__file__).parents[2] / "benchmarks/baseline.json").values()
    )

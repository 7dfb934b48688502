"""Which numbers of partitions an edge refuses."""

from __future__ import annotations

import pytest

from taskstream.producer.acks.partition_watch import PartitionWatch


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([(12, 12), (12, 12)], None),
        ([(12, None), (12, None)], None),
        ([(12, 12), (13, 12)], "p.progress has 13 partitions and p.state has 12: "),
        ([(13, 12)], "p.progress has 13 partitions and p.state has 12: "),
        ([(12, None), (13, None)], "p.progress has 13 partitions now and had 12: "),
        ([(12, 12), (13, 13)], "p.progress has 13 partitions now and had 12: "),
        ([(12, 13), (12, 12)], None),
    ],
)
def test_a_number_that_differs_from_before_or_from_the_state_is_a_problem(found, problem):
    watch = PartitionWatch({}, "p.progress", "p.state")
    for numbers in found:
        watch.compare(*numbers)
    assert (watch.problem or "").startswith(problem or "")
    assert (watch.problem is None) == (problem is None)

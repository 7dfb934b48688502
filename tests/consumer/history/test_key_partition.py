"""The partition of a key is the one that Kafka's own clients choose."""

from __future__ import annotations

import pytest

from taskstream.consumer.history.key_partition import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_kafkas_own_test(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


def test_a_partition_is_one_of_those_there_are() -> None:
    assert {partition_of(f"p/t-{each}/COPY".encode(), 3) for each in range(100)} == {0, 1, 2}

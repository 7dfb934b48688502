"""Which files of a lake's folder are merged: enough small ones of about one size, and none again and again."""

from __future__ import annotations

from collections import Counter

import pytest

from taskstream.consumer.lake.compaction import FAN_IN, LARGEST, SMALLEST, files_to_merge


def test_few_files_stay():
    assert files_to_merge({f"f{each}": 1 for each in range(FAN_IN - 1)}) == []


def test_enough_small_files_become_one():
    sizes = {f"f{each:02}": each for each in range(FAN_IN + 2)}

    assert files_to_merge(sizes) == [f"f{each:02}" for each in range(FAN_IN)]


def test_a_large_file_is_not_written_again_for_small_ones():
    sizes = {f"small{each}": 10 for each in range(FAN_IN - 1)}

    assert files_to_merge({**sizes, "large": SMALLEST * FAN_IN}) == []


def test_files_that_are_large_enough_stay():
    assert files_to_merge({f"f{each}": LARGEST for each in range(100)}) == []


@pytest.mark.slow
def test_a_folder_keeps_few_files_and_writes_each_row_a_few_times():
    """A day of a file each second, of 4 KiB."""
    sizes: dict[str, int] = {}
    written: Counter[str] = Counter()
    most = 0
    for second in range(86_400):
        sizes[f"{second:06}"] = 4 << 10
        while names := files_to_merge(sizes):
            size = sum(sizes.pop(each) for each in names)
            sizes[f"{second:06}+"] = sizes.get(f"{second:06}+", 0) + size
            written["bytes"] += size
        most = max(most, len(sizes))

    assert most < 60
    assert written["bytes"] < 20 * 86_400 * (4 << 10)

"""The public API of `taskstream`: its exported names, each with a docstring."""

from __future__ import annotations

import subprocess
import sys

import pytest

import taskstream


def test_the_exported_names():
    assert taskstream.__all__ == [
        "Acknowledgement",
        "AsyncProgressClient",
        "AuthToken",
        "ConsumerError",
        "ProducerError",
        "ProgressClient",
        "Report",
        "RetryPolicy",
        "SchemasError",
        "TopicBatches",
        "Unreadable",
        "batches",
    ]


@pytest.mark.parametrize("name", taskstream.__all__)
def test_each_exported_name_exists_and_is_documented(name):
    assert getattr(taskstream, name).__doc__
    assert name in dir(taskstream)
    assert name in taskstream.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'taskstream' has no attribute 'Nothing'"):
        _ = taskstream.Nothing


def test_importing_it_loads_no_heavy_package():
    """Every command imports it."""
    ask = "import sys, taskstream; print(sorted({'numba', 'pyarrow', 'confluent_kafka'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"

"""What `import taskstream` promises: these names, each with a docstring, each the one that the rooms use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import taskstream


def test_the_exported_names_are_these_and_no_others():
    assert taskstream.__all__ == [
        "Acknowledgement",
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
def test_each_is_there_and_documented(name):
    assert getattr(taskstream, name).__doc__
    assert name in dir(taskstream)
    assert name in taskstream.__doc__


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'taskstream' has no attribute 'Nothing'"):
        _ = taskstream.Nothing


def test_importing_it_loads_nothing_heavy():
    """The command line starts with this import."""
    ask = "import sys, taskstream; print(sorted({'numba', 'pyarrow', 'confluent_kafka'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"

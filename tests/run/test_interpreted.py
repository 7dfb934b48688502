"""The plugin of `make coverage` and `make mutants`, as they use it: in a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOOPS = """
from taskstream.consumer.state.fold import fold_events
from taskstream.consumer.state.table.key_index import find_keys
from taskstream.schemas.codec.column_loops import read_records
print([type(each).__name__ for each in (fold_events, read_records, find_keys)])
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_loops_are_python_and_the_index_of_keys_is_machine_code() -> None:
    done = python("-c", f"import tests.run.interpreted\n{LOOPS}")

    assert (done.stdout, done.stderr) == ("['function', 'function', 'CPUDispatcher']\n", "")


@pytest.mark.slow
def test_the_rules_of_the_fold_hold_where_its_loops_are_python() -> None:
    tests = ["tests/consumer/state/test_fold_rules.py", "tests/consumer/state/test_event_ids.py"]
    done = python(
        "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "tests.run.interpreted", *tests
    )

    assert done.returncode == 0, done.stdout + done.stderr

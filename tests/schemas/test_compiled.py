"""Where machine code is cached, and that a changed source never runs with stale machine code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import taskstream
from taskstream.schemas.compiled import cache_folder, cache_problem, compiled

FOLD = "consumer/state/fold.py"
ROOT = Path(taskstream.__file__).parent


@pytest.fixture
def copied(tmp_path) -> Path:
    """A copy of the package whose files a test may change."""
    copy = tmp_path / "taskstream"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def digest(package: Path) -> str:
    """The digest of the fold's loops, as a process that imports this package computes it."""
    ask = "import sys; from pathlib import Path; from taskstream.schemas.compiled import sources_digest as digest; "
    ask += f"import taskstream; print(digest(Path(taskstream.__file__).parent / {FOLD!r}))"
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    return subprocess.run(
        [sys.executable, "-c", ask], env=environment, cwd=package.parent, capture_output=True, text=True, check=True
    ).stdout


def test_the_cache_is_beside_the_sources(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")

    assert cache_folder(ROOT / FOLD).parent == ROOT / "schemas" / "__pycache__"


def test_the_cache_is_in_numbas_cache_dir_if_that_is_set(tmp_path, monkeypatch):
    beside = cache_folder(ROOT / FOLD)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    assert cache_folder(ROOT / FOLD) == tmp_path / beside.name


def test_a_folder_that_cannot_be_written_keeps_nothing_and_is_named_with_the_remedy(monkeypatch):
    assert cache_problem() is None
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/nowhere/deep")

    assert cache_folder(ROOT / FOLD) is None
    assert cache_problem().startswith("/nowhere/deep cannot be written")
    assert "NUMBA_CACHE_DIR" in cache_problem()


@pytest.mark.parametrize("nested", ["consumer/state/series.py", "schemas/compiled.py"])
def test_a_change_of_a_file_that_a_loop_imports_changes_the_digest(copied, nested):
    before = digest(copied)
    with (copied / nested).open("a") as source:
        source.write("\n# a change\n")

    assert digest(copied) != before


def test_a_change_of_a_file_that_no_loop_imports_keeps_the_digest(copied):
    before = digest(copied)
    with (copied / "compose/cli/topics/topics.py").open("a") as source:
        source.write("\n# a change\n")

    assert digest(copied) == before


def test_decorating_a_loop_leaves_the_setting_of_the_process_as_it_was():
    before = numba.config.CACHE_DIR
    compiled(digest)

    assert before == numba.config.CACHE_DIR

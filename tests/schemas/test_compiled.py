"""Where machine code is cached, and that a changed source never runs with stale machine code."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import taskstream
from taskstream.schemas.compiled import cache_folder, cache_problem, compiled, compiled_in_place

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


@pytest.mark.slow
@pytest.mark.parametrize("nested", ["consumer/state/series.py", "schemas/compiled.py"])
def test_a_change_of_a_file_that_a_loop_imports_changes_the_digest(copied, nested):
    before = digest(copied)
    with (copied / nested).open("a") as source:
        source.write("\n# a change\n")

    assert digest(copied) != before


@pytest.mark.slow
def test_a_change_of_a_file_that_no_loop_imports_keeps_the_digest(copied):
    before = digest(copied)
    with (copied / "compose/cli/topics/topics.py").open("a") as source:
        source.write("\n# a change\n")

    assert digest(copied) == before


def test_decorating_a_loop_leaves_the_setting_of_the_process_as_it_was():
    before = numba.config.CACHE_DIR
    compiled(digest)

    assert before == numba.config.CACHE_DIR


def test_a_loop_in_place_cannot_make_an_array():
    @compiled_in_place
    def first_of_new(count: int) -> float:
        return np.empty(count)[0]

    with pytest.raises(numba.TypingError):
        first_of_new(3)


def test_a_loop_in_place_leaves_the_reference_count_of_its_arrays_as_it_was():
    @compiled_in_place
    def total(numbers: np.ndarray) -> int:
        found = 0
        for index in range(numbers.shape[0]):
            found += second_of(numbers, index)
        return found

    @compiled_in_place
    def second_of(numbers: np.ndarray, index: int) -> int:
        part = numbers[index:]
        return part[0] if part.shape[0] else 0

    numbers = np.arange(5)
    before = sys.getrefcount(numbers)

    assert total(numbers) == 10
    assert sys.getrefcount(numbers) == before


def test_loops_in_place_return_numbers_and_call_no_loop_of_their_file_that_makes_arrays():
    """An array that such a loop returned or was given would be freed too early, or never."""
    checked = 0
    for path in sources():
        functions = functions_of(path)
        counted = {each.name for each in functions if kind_of(each) == "compiled"}
        for function in functions:
            if kind_of(function) == "compiled_in_place":
                checked += 1
                assert set(re.findall(r"[\w.]+", ast.unparse(function.returns))) <= NUMBERS, function.name
                calls = [each.func for each in ast.walk(function) if isinstance(each, ast.Call)]
                assert not {each.id for each in calls if isinstance(each, ast.Name)} & counted, function.name

    assert checked > 0


NUMBERS = {"None", "bool", "int", "float", "tuple", "Any", "np.uint32", "np.uint64"}
"""What the return type of a loop in place is made of; Any stands for a number."""


def sources() -> list[Path]:
    return [path for room in ROOT.iterdir() if room.is_dir() for path in room.rglob("*.py")]


def functions_of(path: Path) -> list[ast.FunctionDef]:
    return [each for each in ast.parse(path.read_text("utf-8")).body if isinstance(each, ast.FunctionDef)]


def kind_of(function: ast.FunctionDef) -> str | None:
    names = [each.id for each in function.decorator_list if isinstance(each, ast.Name)]
    return next((name for name in names if name in {"compiled", "compiled_in_place"}), None)

"""Where machine code is kept, asked of processes that import it afresh."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TELL = "import numba, schemas.compiled; print(numba.config.CACHE_DIR)"


def kept_in(environment: dict[str, str]) -> Path:
    told = subprocess.run(
        [sys.executable, "-c", TELL], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return Path(told.stdout.strip())


def test_it_lies_beside_the_sources():
    assert kept_in({"NUMBA_CACHE_DIR": ""}).parent == Path("schemas/__pycache__").absolute()


def test_it_lies_where_the_compiler_was_told_to_keep_it_and_is_named_after_the_sources(tmp_path):
    beside = kept_in({"NUMBA_CACHE_DIR": ""})

    assert kept_in({"NUMBA_CACHE_DIR": str(tmp_path)}) == tmp_path / beside.name

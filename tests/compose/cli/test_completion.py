"""Completion, in the shells that are installed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

COMPLETE = """
eval "$(taskstream completion bash)"
COMP_WORDS=({words})
COMP_CWORD={last}
_taskstream_completion taskstream
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("taskstream t", {"tail", "tasks", "tokens", "topics"}),
        ("taskstream topics ch", {"check"}),
        ("taskstream tail s", {"signals", "state"}),
        ("taskstream completion ", {"bash", "zsh", "fish"}),
        ("taskstream tail --pre", {"--prefix"}),
    ],
)
def test_bash_completes_commands_options_and_values(tmp_path, words, offered):
    program = tmp_path / "taskstream"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m taskstream "$@"\n')
    program.chmod(0o755)
    typed = words.split(" ")
    script = COMPLETE.format(words=" ".join(map(shlex.quote, typed)), last=len(typed) - 1)

    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        check=True,
        text=True,
    )

    assert set(done.stdout.split()) == offered
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_calls_the_program(shell):
    done = subprocess.run(
        [sys.executable, "-m", "taskstream", "completion", shell], capture_output=True, check=True, text=True
    )

    assert f"_TASKSTREAM_COMPLETE={shell}_complete" in done.stdout
    assert Path(sys.executable).name not in done.stdout

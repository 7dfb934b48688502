"""A guarded process runs the command itself, and does not outlive its parent."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from taskstream.compose.local.guarded_process import OUTPUT_LIMIT_BYTES, GuardedProcess
from tests.processes import is_alive
from tests.waiting import wait_until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def guarded(tmp_path):
    """Starts guarded Python processes; kills them after the test."""
    started: list[GuardedProcess] = []

    def start(program: str, *arguments: str, **options) -> GuardedProcess:
        output = tmp_path / f"output-{len(started)}"
        process = GuardedProcess([sys.executable, "-c", program, *arguments], output, **options)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def test_its_exit_code_and_output_are_those_of_the_command(guarded):
    process = guarded("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert process.wait(300) == 7
    assert set(process.last_lines().splitlines()) == {"out", "err"}


def test_its_pid_is_that_of_the_command(guarded):
    process = guarded("import os; print(os.getpid())")
    process.wait(300)
    assert process.last_lines() == str(process.pid)


def test_a_missing_command_is_named_in_the_output(tmp_path):
    process = GuardedProcess(["no-such-program"], tmp_path / "output")
    process.start()
    assert process.wait(300) == 1
    assert process.last_lines() == "no-such-program: No such file or directory"


def test_it_runs_in_its_own_session(guarded):
    process = guarded("import os; print(os.getsid(0) == os.getpid())")
    process.wait(300)
    assert process.last_lines() == "True"


def test_signals_have_their_default_action(tmp_path):
    process = GuardedProcess(["sh", "-c", "kill -PIPE $$; echo survived"], tmp_path / "output")
    process.start()
    assert process.wait(300) == -signal.SIGPIPE


def test_the_command_inherits_no_child(guarded):
    process = guarded("import os; os.waitpid(-1, 0)")
    process.wait(300)
    assert "No child processes" in process.last_lines(1)


def test_stop_sends_sigterm(guarded):
    program = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print('up', flush=True); time.sleep(600)"
    process = guarded(program)
    wait_until(lambda: process.last_lines() == "up")
    assert process.stop(20) == 5


def test_stop_kills_after_the_deadline(guarded):
    process = guarded(STUBBORN)
    wait_until(lambda: process.last_lines() == "up")
    assert process.stop(0.1) == -signal.SIGKILL


def test_stopping_an_ended_process_returns_its_exit_code(guarded):
    process = guarded("raise SystemExit(3)")
    assert process.wait(300) == 3
    assert process.stop(1) == 3


def test_the_children_of_the_command_end_with_it(guarded):
    program = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]).pid, flush=True); input()"
    process = guarded(program)
    assert process.wait(300) == 1  # it reads the end of an empty input
    grandchild = int(next(line for line in process.last_lines().splitlines() if line.isdigit()))
    wait_until(lambda: not is_alive(grandchild))


@pytest.mark.parametrize("program", ["import time; print('up', flush=True); time.sleep(600)", STUBBORN])
def test_it_ends_when_its_parent_is_killed(tmp_path, program):
    parent_program = f"""
import sys, time
from pathlib import Path
from taskstream.compose.local.guarded_process import GuardedProcess
command = [sys.executable, "-c", {program!r}]
child = GuardedProcess(command, Path({str(tmp_path / "output")!r}), orphan_grace_s=0.2)
child.start()
while child.last_lines() != "up":
    time.sleep(0.02)
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent_program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(child))


def test_two_commands_with_one_lock_do_not_run_at_once(guarded, tmp_path):
    lock = tmp_path / "lock"
    first = guarded("import time; print('first', flush=True); time.sleep(600)", lock=lock)
    wait_until(lambda: first.last_lines() == "first")
    second = guarded("print('second')", lock=lock)
    assert second.wait(0.5) is None
    first.kill()
    assert second.wait(300) == 0
    assert second.last_lines() == "second"


def test_a_large_output_file_is_renamed(tmp_path):
    output = tmp_path / "output"
    with output.open("wb") as file:
        file.truncate(OUTPUT_LIMIT_BYTES + 1)
    process = GuardedProcess([sys.executable, "-c", "print('new')"], output)
    process.start()
    process.wait(300)
    assert output.read_text() == "new\n"
    assert (tmp_path / "output.old").stat().st_size > OUTPUT_LIMIT_BYTES

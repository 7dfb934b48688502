"""The program in a process of its own, forked from one that has imported it: a start costs a tenth of the CPU time.

Its own start, by `python -m taskstream`, is what tests/pipeline/commands/test_output.py, test_up.py and test_wheel.py use.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, chdir, suppress
from multiprocessing import forkserver, process, reduction, resource_tracker, util
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
PRELOADED = "tests.preloaded"


class Program:
    """`taskstream ARGUMENTS`; what the tests use of subprocess.Popen.

    output, errors: a file to append to, or a file descriptor; `errors` go to the output where they have no place.
    clock: the command's time in microseconds since 1970, where it is not the machine's.
    environment: its variables, where they are not this process's.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        output: Path | int,
        errors: Path | int | None = None,
        *,
        clock: Callable[[], int] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.args = [str(each) for each in arguments]
        _server_runs()
        with ExitStack() as opened:
            streams = [_descriptor(each, opened) for each in (output, output if errors is None else errors)]
            self._process = multiprocessing.get_context("forkserver").Process(
                target=_run,
                args=(self.args, *map(_Passed, streams), clock, dict(environment), Path.cwd()),
                daemon=True,  # it is ended with this process
            )
            self._process.start()
        self.pid: int = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended.

        :raises subprocess.TimeoutExpired: it runs on
        """
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended, also where the fork server knows it and has not told it yet."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def listening_address(program: Program, log: Path) -> str:
    """The address that a server says it listens on, when it says so; it fails with the log of one that has ended."""

    def addresses() -> list[str]:
        text = log.read_text()
        assert program.poll() is None, text
        return [line.rpartition(" ")[2] for line in text.splitlines() if "listens on" in line]

    return wait_until(addresses)[0]


@pytest.hookimpl(tryfirst=True)  # before what looks for processes that are left
def pytest_unconfigure() -> None:
    """The server that was forked from ends before this process does, and its folder before the run's."""
    util._run_finalizers()
    forkserver._forkserver._stop()
    resource_tracker._resource_tracker._stop()


def _server_runs() -> None:
    multiprocessing.set_forkserver_preload([PRELOADED])
    if forkserver._forkserver._forkserver_pid is None:
        # The address of a socket has a hundred characters: it begins with an open folder's number, not with its path.
        folder = os.open(tempfile.mkdtemp(prefix="forks-"), os.O_DIRECTORY)
        process.current_process()._config["tempdir"] = f"/proc/self/fd/{folder}"  # type: ignore[attr-defined]
    with chdir(ROOT):  # the folder that it imports from
        forkserver.ensure_running()


def _descriptor(place: Path | int, opened: ExitStack) -> int:
    return place if isinstance(place, int) else opened.enter_context(place.open("ab")).fileno()


class _Passed:
    """A file descriptor on its way into the new process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Callable[[Any], int], tuple[Any]]:
        return _arrived, (reduction.DupFd(self._descriptor),)


def _arrived(passed: Any) -> int:
    return passed.detach()


def _run(
    arguments: list[str],
    output: int,
    errors: int,
    clock: Callable[[], int] | None,
    environment: Mapping[str, str],
    folder: Path,
) -> None:
    """In the new process, before the program's first line."""
    from taskstream.compose.cli import cli, main
    from taskstream.compose.cli.command_clock import CommandClock

    assert PRELOADED in sys.modules, "the fork server could not import the program"
    process.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, standard in ((output, 1), (errors, 2)):
        os.dup2(descriptor, standard)
    for descriptor in {output, errors}:
        os.close(descriptor)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "backslashreplace", line_buffering=True
    )
    sys.argv = ["taskstream", *arguments]
    if clock is None:
        main()
    else:
        cli(obj=CommandClock(clock))

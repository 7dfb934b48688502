"""A pytest plugin: a test run that is ended at any moment, in any way, leaves no process, no folder and no port.

SIGTERM ends a run as Ctrl-C does: fixtures are torn down. What that misses, and a run that is killed, is left to
`tests/run/watcher.py`. It knows no fixture.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

from tests.run.watcher import KEPT, RUN_VARIABLE, part_of_this_run, processes

WATCHER = Path(__file__).with_name("watcher.py")


def is_controller(config: pytest.Config) -> bool:
    """Whether this process is the run's first one, not one of pytest-xdist's workers."""
    return not hasattr(config, "workerinput")


class RunGuard:
    """The watcher of this run, and the folder for its temporary files: `basetemp` is pytest's part of it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="taskstream-tests-"))
        self.folder.chmod(0o711)  # some tests are another user for a while
        self.basetemp = self.folder / "basetemp"
        own = self.folder / "tmp"
        own.mkdir(0o711)
        self.run_id = uuid.uuid4().hex
        os.environ[RUN_VARIABLE] = part_of_this_run(self.run_id)
        self._tmpdir = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = tempfile.tempdir = str(own)
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WATCHER), self.run_id, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def interrupt_workers(self) -> None:
        """Send SIGTERM to pytest-xdist's workers, which otherwise run on for five seconds."""
        own = os.getpid()
        for process in processes(self.run_id):
            if process.parent == own and process.pid != self._watcher.pid:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)

    def close(self, *, keep_folder: bool) -> str:
        """Wait until no process of the run is left; gives one line about each that had to be ended."""
        if keep_folder:
            (self.folder / KEPT).touch()
        ended, _ = self._watcher.communicate()
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        if self._tmpdir is not None:
            os.environ["TMPDIR"] = self._tmpdir
        return ended


GUARD = pytest.StashKey[RunGuard]()
EXIT_STATUS = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)  # before pytest's own chooses its folder
def pytest_configure(config: pytest.Config) -> None:
    """Start the watcher before anything else starts.

    A shell's background jobs are born ignoring SIGINT, and so would be every process that a test starts.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    if is_controller(config):
        config.stash[GUARD] = guard = RunGuard()
        config.option.basetemp = config.option.basetemp or str(guard.basetemp)


def pytest_keyboard_interrupt() -> None:
    """The fixtures are torn down next: one signal is enough."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """After an interrupt: end the workers, or, in a worker, tear down undisturbed."""
    config = session.config
    config.stash[EXIT_STATUS] = exitstatus
    if exitstatus != pytest.ExitCode.INTERRUPTED:
        return
    if not is_controller(config):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    elif config.pluginmanager.has_plugin("dsession") and GUARD in config.stash:
        config.stash[GUARD].interrupt_workers()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the watcher look for what is left."""
    if GUARD in config.stash:
        guard, status = config.stash[GUARD], config.stash.get(EXIT_STATUS, pytest.ExitCode.OK)
        failed = status == pytest.ExitCode.TESTS_FAILED
        ended = guard.close(keep_folder=failed)
        if ended and status != pytest.ExitCode.INTERRUPTED:
            sys.stderr.write(f"left by the tests and ended:\n{ended}")
        if failed:
            sys.stderr.write(f"the folders of the failed tests are kept in {guard.basetemp}\n")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

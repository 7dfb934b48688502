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
from pathlib import Path
from types import FrameType

import pytest

from tests.run.watcher import FINISHED, RUN_VARIABLE, processes

WATCHER = Path(__file__).with_name("watcher.py")


def is_controller(config: pytest.Config) -> bool:
    """Whether this process is the run's first one, not one of pytest-xdist's workers."""
    return not hasattr(config, "workerinput")


class RunGuard:
    """The watcher of this run, and the folder for its temporary files."""

    def __init__(self, basetemp: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="taskstream-tests-"))
        self.folder.chmod(0o711)  # some tests are another user for a while
        self.run_id = uuid.uuid4().hex
        os.environ[RUN_VARIABLE] = ":".join(filter(None, [os.environ.get(RUN_VARIABLE), self.run_id]))
        self._tmpdir = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.folder)
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WATCHER), self.run_id, str(self.folder), str(basetemp)],
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
                os.kill(process.pid, signal.SIGTERM)

    def close(self, *, interrupted: bool) -> str:
        """Wait until nothing of the run is left; gives one line about each process that had to be ended."""
        if not interrupted:
            (self.folder / FINISHED).touch()
        ended, _ = self._watcher.communicate()
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        if self._tmpdir is not None:
            os.environ["TMPDIR"] = self._tmpdir
        return ended


GUARD = pytest.StashKey[RunGuard]()
INTERRUPTED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """A shell's background jobs are born ignoring SIGINT, and so would be every process that a test starts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    config.stash[INTERRUPTED] = False


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the watcher before anything else starts."""
    if is_controller(session.config) and not session.config.option.collectonly:
        basetemp = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined] # pytest's own
        session.config.stash[GUARD] = RunGuard(basetemp)


def pytest_keyboard_interrupt() -> None:
    """The fixtures are torn down next: one signal is enough."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """After an interrupt: end the workers, or, in a worker, tear down undisturbed."""
    config = session.config
    config.stash[INTERRUPTED] = exitstatus == pytest.ExitCode.INTERRUPTED
    if not config.stash[INTERRUPTED]:
        return
    if not is_controller(config):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    elif config.pluginmanager.has_plugin("dsession") and GUARD in config.stash:
        config.stash[GUARD].interrupt_workers()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the watcher look for what is left."""
    if GUARD in config.stash:
        ended = config.stash[GUARD].close(interrupted=config.stash[INTERRUPTED])
        if ended and not config.stash[INTERRUPTED]:
            sys.stderr.write(f"left by the tests and ended:\n{ended}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

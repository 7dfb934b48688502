"""Worker processes: replaced when they die, stopped together, and gone when their parent is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from taskstream.compose.server.server_processes import RESTART_S
from tests.processes import is_alive
from tests.waiting import wait_until

PARENT = """
import os, signal, sys, time
from pathlib import Path
from taskstream.compose.server.server_processes import run_workers

def work(number):
    asked = []
    if sys.argv[2] == "early":
        (Path(sys.argv[1]) / f"{os.getpid()}").touch()
        time.sleep(3600)
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    (Path(sys.argv[1]) / f"{os.getpid()}").touch()
    while sys.argv[2] == "deaf" or not asked:
        time.sleep(0.01)
    return number

if sys.argv[2] == "stopped while one ends":
    wait = os.waitpid

    def waitpid(pid, options):
        ended, status = wait(pid, options)
        if ended:
            os.kill(os.getpid(), signal.SIGTERM)
        return ended, status

    os.waitpid = waitpid

sys.exit(run_workers(2, work, float(sys.argv[3])))
"""


class Family:
    """A parent with two workers, each of which leaves its process id in the folder."""

    def __init__(self, folder: Path, manner: str, stop_timeout_s: float) -> None:
        self._folder = folder
        self.errors = folder.with_suffix(".errors")
        with self.errors.open("wb") as errors:
            command = [sys.executable, "-c", PARENT, folder, manner, str(stop_timeout_s)]
            self.parent = subprocess.Popen(command, stderr=errors)
        wait_until(lambda: len(self.workers()) == 2)

    def workers(self) -> list[int]:
        """Those that live."""
        return [pid for pid in (int(path.name) for path in self._folder.iterdir()) if is_alive(pid)]


@pytest.fixture
def family(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Family]:
    manner, stop_timeout_s = getattr(request, "param", ("willing", 20))
    made = Family(tmp_path, manner, stop_timeout_s)
    yield made
    made.parent.kill()
    made.parent.wait()
    for pid in made.workers():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_workers_end_when_their_parent_is_killed(family):
    family.parent.kill()
    wait_until(lambda: not family.workers())


@pytest.mark.parametrize("family", [("deaf", 0.5)], indirect=True)
def test_a_worker_that_does_not_listen_is_ended_by_force(family):
    family.parent.kill()
    wait_until(lambda: not family.workers())


@pytest.mark.parametrize("family", [("deaf", 0.5)], indirect=True)
def test_a_parent_ends_by_force_who_does_not_listen_and_says_so(family):
    family.parent.terminate()
    assert family.parent.wait(300) == 1
    assert not family.workers()


def test_a_worker_that_dies_is_replaced(family):
    first = family.workers()
    os.kill(first[0], signal.SIGKILL)
    wait_until(lambda: len(set(family.workers()) - set(first)) == 1)
    assert len(family.workers()) == 2


@pytest.mark.parametrize("family", [("early", 3600)], indirect=True)
def test_workers_that_are_stopped_before_they_handle_it_had_nothing_to_finish(family):
    family.parent.terminate()
    assert family.parent.wait(300) == 0


@pytest.mark.parametrize("family", [("early", 3600)], indirect=True)
def test_a_signal_at_any_moment_of_a_replacement_stops_all(family):
    """The replacement is forked a second after the death: this comes before, within or after it."""
    os.kill(family.workers()[0], signal.SIGKILL)
    time.sleep(RESTART_S)
    family.parent.terminate()
    assert family.parent.wait(300) == 0
    assert not family.workers()


@pytest.mark.parametrize("family", [("stopped while one ends", 3600)], indirect=True)
def test_a_signal_while_a_dead_worker_is_reaped_stops_the_other(family):
    """The signal comes when the process id of the dead one is no longer its."""
    os.kill(family.workers()[0], signal.SIGKILL)
    assert family.parent.wait(300) == 1  # the dead one may have had something to finish
    assert not family.workers()
    assert "Traceback" not in family.errors.read_text()


def test_a_parent_that_is_stopped_takes_its_workers_along_and_tells_the_worst_code(family):
    family.parent.terminate()
    assert family.parent.wait(300) == 1  # the second worker ends with its number
    assert not family.workers()

"""A test run that is ended at any moment, in any way, leaves no process, no folder and no port: seen from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.run.holding import FOLDER_VARIABLE
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TESTS = ["tests/pipeline/edge/test_edge_http.py", "tests/pipeline/view/test_view_contract.py"]
"""They start Kafka, an edge and a view in two workers."""
MARK = "OF_THE_RUN_THAT_IS_ENDED"


class Run:
    """A pytest of two workers in a process group of its own, and whatever it starts."""

    def __init__(self, folder: Path, tests: list[str], *options: str) -> None:
        self.tmpdir = folder / "tmp"
        self.tmpdir.mkdir()
        self.held = folder / "held"
        self.held.mkdir()
        self.output = folder / "output"
        self.ports: set[int] = set()
        self._mark = uuid.uuid4().hex
        environment = os.environ | {"TMPDIR": str(self.tmpdir), MARK: self._mark, FOLDER_VARIABLE: str(self.held)}
        for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST"):
            environment.pop(name, None)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    *["-m", "pytest", "-v", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"],
                    *options,
                    *tests,
                ],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def processes(self) -> dict[int, str]:
        """The command lines of all that run, by process id; the ports that they listen on are kept in `ports`."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        self.ports.update(port for inode, port in listening() if inode in sockets(found))
        return found

    def command_lines(self) -> str:
        return "\n".join(self.processes().values())


def listening() -> Iterator[tuple[str, int]]:
    """The inode and the port of each listening TCP socket."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                yield fields[9], int(fields[1].rpartition(":")[2], 16)


def sockets(pids: dict[int, str]) -> set[str]:
    found = set()
    for pid in pids:
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                found.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    return found


def when_kafka_starts(run: Run) -> bool:
    return "java" in run.command_lines()


def in_the_middle(run: Run) -> bool:
    """Both workers are in a test, and have something to lose."""
    forked = run.command_lines().count("multiprocessing.forkserver")  # two servers, an edge and a view
    return len(list(run.held.iterdir())) == 2 and forked == 4


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param(when_kafka_starts, signal.SIGTERM, id="SIGTERM while Kafka starts"),
        pytest.param(in_the_middle, signal.SIGTERM, id="SIGTERM in the middle"),
        pytest.param(in_the_middle, signal.SIGINT, id="SIGINT in the middle"),
        pytest.param(in_the_middle, signal.SIGKILL, id="SIGKILL in the middle"),
    ],
)
def test_nothing_is_left_of_a_run_that_is_ended(
    tmp_path: Path, kafka_cache_dir: Path, moment: Callable[[Run], bool], number: signal.Signals
) -> None:
    run = Run(tmp_path, TESTS, "-p", "tests.run.holding")
    try:
        wait_until(lambda: moment(run) or run.process.poll() is not None, run.output.read_text, pause_s=0.2)
        assert run.process.poll() is None, run.output.read_text()
        run.process.send_signal(number)
        wait_until(lambda: run.process.poll() is not None, run.output.read_text)
        wait_until(lambda: not run.processes(), run.command_lines, pause_s=0.2)
    finally:
        run.process.kill()
        run.process.wait()

    assert run.process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else pytest.ExitCode.INTERRUPTED)
    assert [path.relative_to(run.tmpdir) for path in run.tmpdir.rglob("*")] == []
    assert not run.ports & {port for _, port in listening()}


def test_nothing_is_left_of_a_run_that_comes_to_its_end(tmp_path: Path) -> None:
    run = Run(tmp_path, ["tests/test_requirements.py", "tests/schemas/test_topics.py"])

    assert run.process.wait() == 0, run.output.read_text()
    assert not run.processes()
    assert [path.relative_to(run.tmpdir) for path in run.tmpdir.rglob("*")] == []

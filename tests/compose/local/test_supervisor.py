"""A supervisor starts processes in order, restarts them, stops them in the opposite order, and leaves none behind."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from taskstream.compose.errors import ProcessStartError
from taskstream.compose.local.readiness import http_answers
from taskstream.compose.local.supervised_service import Backoff, Service, ServiceDied, ServiceReady, ServiceStopped
from taskstream.compose.local.supervisor import Supervisor
from tests.processes import is_alive
from tests.waiting import wait_until

# Writes a line to a file when it starts, when it is interrupted and when it ends.
CHILD = """
import signal, sys, time
name, diary = sys.argv[1:]
def write(word):
    with open(diary, "a") as file:
        file.write(f"{name} {word}\\n")
def end(*_):
    write("down")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, lambda *_: write("interrupted"))
write("up")
time.sleep(600)
"""


class Diary:
    """The lines that the children wrote, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def child(self, name: str) -> Service:
        command = (sys.executable, "-c", CHILD, name, str(self.path))
        return Service(name, command, lambda: f"{name} up" in self.lines())


@pytest.fixture
def diary(tmp_path):
    return Diary(tmp_path / "diary")


@pytest.fixture
def events():
    return []


@pytest.fixture
def supervisor(tmp_path, events):
    with Supervisor(tmp_path / "logs", events.append, backoff=Backoff(first_s=0.05)) as supervisor:
        yield supervisor


def test_services_start_in_order_and_stop_in_the_opposite_order(supervisor, diary, events):
    supervisor.start(diary.child("kafka"))
    supervisor.start(diary.child("worker"))
    supervisor.start(diary.child("edge"))
    supervisor.stop()
    assert diary.lines() == ["kafka up", "worker up", "edge up", "edge down", "worker down", "kafka down"]
    assert [(type(each), each.service) for each in events] == [
        (ServiceReady, "kafka"),
        (ServiceReady, "worker"),
        (ServiceReady, "edge"),
        (ServiceStopped, "edge"),
        (ServiceStopped, "worker"),
        (ServiceStopped, "kafka"),
    ]


def test_services_that_are_started_together_start_at_the_same_time(supervisor, diary):
    first, second = diary.child("first"), diary.child("second")
    waits_for_second = Service("first", first.command, second.is_ready)
    supervisor.start(waits_for_second, second)
    assert set(supervisor.pids()) == {"first", "second"}


def test_a_service_that_dies_is_restarted_and_the_others_keep_running(supervisor, diary, events):
    supervisor.start(diary.child("one"), diary.child("other"))
    before = supervisor.pids()
    os.kill(before["one"], signal.SIGKILL)

    def is_back() -> bool:
        supervisor.poll(time.monotonic())
        return isinstance(events[-1], ServiceReady) and supervisor.pids().get("one") not in (None, before["one"])

    wait_until(is_back)
    (death,) = [each for each in events if isinstance(each, ServiceDied)]
    assert (death.service, death.code, death.was_ready) == ("one", -signal.SIGKILL, True)
    assert supervisor.pids()["other"] == before["other"]


def test_a_service_that_fails_at_its_first_start_is_an_error_with_its_last_lines(supervisor, tmp_path):
    command = (sys.executable, "-c", "import sys; print('port 8080 is taken'); sys.exit(1)")
    with pytest.raises(
        ProcessStartError, match=r"edge ended with exit code 1 before it was ready .*edge\.log"
    ) as failed:
        supervisor.start(Service("edge", command, lambda: False))
    assert "port 8080 is taken" in str(failed.value)


def test_a_service_that_is_never_ready_is_an_error_with_its_last_lines(supervisor):
    command = (sys.executable, "-c", "import time; print('waiting', flush=True); time.sleep(600)")
    with pytest.raises(ProcessStartError, match=r"view was not ready after 1 s .*view\.log"):
        supervisor.start(Service("view", command, lambda: False, ready_timeout_s=1.0))


def test_a_failed_start_leaves_no_process(tmp_path, diary):
    bad = Service("bad", (sys.executable, "-c", "raise SystemExit(1)"), lambda: False)
    with Supervisor(tmp_path / "logs", lambda _: None) as supervisor:
        supervisor.start(diary.child("good"))
        pid = supervisor.pids()["good"]
        with pytest.raises(ProcessStartError):
            supervisor.start(bad)
    assert not is_alive(pid)


def test_each_service_has_its_own_log_file(supervisor):
    for name in ("a", "b"):
        supervisor.start(
            Service(
                name,
                (sys.executable, "-c", f"import time; print('I am {name}', flush=True); time.sleep(600)"),
                lambda: True,
            )
        )
    wait_until(lambda: supervisor.log_file("a").read_text().startswith("I am a\n"))
    wait_until(lambda: supervisor.log_file("b").read_text().startswith("I am b\n"))


SUPERVISING = """
import contextlib, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_supervisor import Diary
from taskstream.compose.local.supervisor import Supervisor
diary = Diary(Path(sys.argv[1]))
with contextlib.suppress(KeyboardInterrupt), Supervisor(Path(sys.argv[2]), lambda event: None) as supervisor:
    supervisor.start(diary.child("kafka"), diary.child("edge"))
    print(*supervisor.pids().values(), flush=True)
    supervisor.run()
"""


@pytest.fixture
def supervising(tmp_path, diary):
    """A process that supervises two children; yields it and the children's process ids."""
    command = [sys.executable, "-c", SUPERVISING, str(diary.path), str(tmp_path / "logs"), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        yield process, pids
        process.kill()


def test_an_interrupt_from_the_terminal_reaches_only_the_supervisor(supervising, diary):
    process, pids = supervising
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(300) == 0
    assert set(diary.lines()[:2]) == {"edge up", "kafka up"}
    assert diary.lines()[2:] == ["edge down", "kafka down"]
    assert not any(map(is_alive, pids))


def test_the_children_of_a_killed_supervisor_end_too(supervising, diary):
    process, pids = supervising
    process.send_signal(signal.SIGKILL)
    process.wait(300)
    wait_until(lambda: not any(map(is_alive, pids)))
    assert sorted(diary.lines()[2:]) == ["edge down", "kafka down"]


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


def test_a_server_is_ready_only_if_it_answers_200():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert http_answers(f"{address}/readyz", 5)
        assert not http_answers(f"{address}/not-ready", 5)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not http_answers(f"{address}/readyz", 1)

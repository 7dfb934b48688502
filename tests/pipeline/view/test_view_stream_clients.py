"""Clients of event streams that nobody here wrote follow the view through its restart."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.views import new_state_topic, now_us, running_view, series
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

FOLLOWERS = Path(__file__).parents[2] / "foreign" / "sse"
KEY = "project-1/followed/MIGRATE_LINUX_FILE"


@pytest.fixture(params=["httpx-sse", "eventsource"])
def follower(request: pytest.FixtureRequest, tmp_path: Path) -> Sequence[str]:
    """The command that follows a stream: the URL and the token come after it."""
    if request.param == "httpx-sse":
        return [str(request.getfixturevalue("foreign_python")), str(FOLLOWERS / "follow.py")]
    # Node looks for packages beside the program
    (tmp_path / "node_modules").symlink_to(request.getfixturevalue("node_folder") / "node_modules")
    return ["node", shutil.copy(FOLLOWERS / "follow.mjs", tmp_path)]


class Following:
    """What a follower printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def events(self) -> list[tuple[str, str, str]]:
        return [tuple(json.loads(line)) for line in self._log.read_text().splitlines(keepends=True) if line[-1] == "\n"]

    def names(self) -> list[str]:
        return [name for name, _, _ in self.events]

    def progress(self) -> list[int]:
        return [json.loads(data)["progress"] for name, data, _ in self.events if name == "task"]


@contextlib.contextmanager
def following(command: Sequence[str], url: str, token: str, log: Path) -> Iterator[Following]:
    with log.open("w") as out:
        process = subprocess.Popen([*command, url, token], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield Following(process, log)
    finally:
        process.kill()
        process.wait()


def test_a_client_of_the_stream_lives_through_a_restart_of_the_view(follower, broker, topic_prefix, tmp_path):
    states = new_state_topic(broker, topic_prefix)
    states.put({KEY: series(now_us(), progress=1)})
    nowhere = KafkaClient("127.0.0.1:1")
    with contextlib.ExitStack() as stack:
        with running_view(broker, topic_prefix, tmp_path) as first:
            port = int(first.url.rpartition(":")[2])
            url, token = f"{first.url}/stream?q=followed", first.tokens["operator"]
            told = stack.enter_context(following(follower, url, token, tmp_path / "events"))
            wait_until(lambda: "beat" in told.names())
            states.put({KEY: series(now_us(), progress=2)})
            wait_until(lambda: told.progress() == [2])
            first.process.kill()
            wait_until(lambda: "lost" in told.names())
        with running_view(nowhere, topic_prefix, tmp_path, port=port, wait=False) as starting:
            seen = len(told.events)
            wait_until(lambda: "beat" in told.names()[seen:])
            assert starting.get("/readyz").status == 503
            assert starting.get("/tasks").status == 503
            assert "reset" not in told.names()[seen:]
            told.process.send_signal(signal.SIGSTOP)  # it sees the next view only when that is current
        with running_view(broker, topic_prefix, tmp_path, port=port):
            told.process.send_signal(signal.SIGCONT)
            wait_until(lambda: "reset" in told.names()[seen:])
            states.put({KEY: series(now_us(), progress=3)})
            wait_until(lambda: told.progress() == [2, 3])
    assert "message" not in told.names()
    assert ("lost", "for good", "") not in told.events

"""The stream over real HTTP: a reader that pauses, a view that is killed, a Kafka that is away; and the page through it."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, running_view, series, signal
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

CROWD = 400
ROUNDS = 60


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    return new_state_topic(broker)


class StreamEnded(AssertionError):
    """The view has closed the connection."""


class Stream:
    """One connection to /stream, read only when it is told to."""

    def __init__(self, view: RunningView, query: str = "", last_id: str | None = None, by: str = "operator") -> None:
        address = urlsplit(view.url)
        self._socket = socket.create_connection((address.hostname, address.port), 300)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        more = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self._socket.sendall(
            f"GET /stream{query} HTTP/1.1\r\nHost: view\r\nX-Auth-Token: {view.tokens[by]}\r\n{more}\r\n".encode()
        )
        self._kept = b""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.last_id: str | None = None

    def read(self, until_told) -> None:
        """Read on until this is so of the events."""
        while not until_told(self.events):
            piece = self._socket.recv(1 << 20)  # a quiet stream sends heartbeats, a dead one times out
            if not piece:
                raise StreamEnded("the stream has ended")
            *lines, self._kept = (self._kept + piece).split(b"\n")
            for line in lines:
                self._take(line.decode().rstrip("\r"))

    def _take(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            self.last_id = value
        elif name == "event":
            self._name = value
        elif name == "data":
            self.events.append((self._name, json.loads(value)))

    def about(self, task_id: str) -> list[tuple[str, int | None]]:
        return [(name, data.get("progress")) for name, data in self.events if data.get("task_id") == task_id]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def begun(events) -> bool:
    return any(name == "beat" for name, _ in events)


def latest(events) -> int:
    """How many tasks of the crowd are shown as they were put last."""
    return len({data["task_id"] for name, data in events if name == "task" and data["progress"] == ROUNDS - 1})


def test_a_reader_that_pauses_skips_what_lay_between_and_has_the_latest_of_every_task(view, states):
    keys = [f"project-1/crowd-{number:03d}/MIGRATE_LINUX_FILE" for number in range(CROWD)]
    with Stream(view, "?q=crowd") as stream:
        stream.read(begun)
        for step in range(ROUNDS):
            states.put(dict.fromkeys(keys, series(now_us(), progress=step)))
        wait_until(lambda: view.shown("/tasks/crowd-399")["progress"] == ROUNDS - 1)
        seen = stream.events
        try:
            stream.read(lambda events: latest(events) >= CROWD)
        except StreamEnded:  # it paused for longer than the view waits: it goes on where it was, as a browser does
            with Stream(view, "?q=crowd", last_id=stream.last_id) as again:
                again.read(lambda events: latest(seen + events) >= CROWD)
                seen = seen + again.events
    tasks = [data for name, data in seen if name == "task"]
    assert {data["task_id"] for data in tasks if data["progress"] == ROUNDS - 1} == {
        f"crowd-{number:03d}" for number in range(CROWD)
    }
    assert len(tasks) < CROWD * ROUNDS / 2
    states.forget(keys)


def test_many_streams_of_one_project_leave_room_for_those_of_another(broker, states, tmp_path):
    with (
        running_view(broker, states.topics.prefix, tmp_path, "--streams-per-project", "3") as few,
        contextlib.ExitStack() as streams,
    ):
        held = [streams.enter_context(Stream(few, by="reader")) for _ in range(3)]
        for stream in held:
            stream.read(begun)
        refused = few.get("/stream", by="reader")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
        assert "has 3 streams open already" in refused.json()["error_msg"]
        assert refused.json()["retriable"] is True
        other = streams.enter_context(Stream(few, by="other"))
        other.read(begun)
        held[0].__exit__()
        wait_until(lambda: opens(few, "reader"))


def opens(view: RunningView, by: str) -> bool:
    """Whether a stream can be opened; it is closed again."""
    response = view.get("/stream", by=by, preload=False)
    response.close()
    return response.status == 200


def test_who_comes_back_with_the_last_id_is_told_what_was_missed(view, states):
    keys = {name: f"project-1/{name}/MIGRATE_LINUX_FILE" for name in ("back-1", "back-2", "back-3")}
    states.put({key: series(now_us()) for key in keys.values()})
    wait_until(lambda: view.shown("/tasks?q=back-")["count"] == 3)
    with Stream(view, "?q=back-") as first:
        first.read(begun)
        states.put({keys["back-1"]: series(now_us(), progress=61)})
        first.read(lambda _: first.about("back-1"))
    states.put({keys["back-2"]: series(now_us(), progress=62)})
    states.forget([keys["back-3"]])
    wait_until(lambda: view.shown("/tasks?q=back-")["count"] == 2)
    with Stream(view, "?q=back-", first.last_id) as second:
        second.read(lambda _: second.about("back-2") and second.about("back-3"))
        assert second.about("back-2") == [("task", 62)]
        assert second.about("back-3") == [("left", None)]
        assert "reset" not in {name for name, _ in second.events}
    states.forget([keys["back-1"], keys["back-2"]])


def known(view: RunningView) -> dict[str, Any]:
    """What it tells of every task, but for what the clock alone moves."""
    listed = view.shown("/tasks?limit=500&sort=task_id")["tasks"]
    moving = ("version", "health_reason", "signals_problem")
    found = {}
    for each in listed:
        page = view.shown(f"/tasks/{each['task_id']}?project={each['project_id']}")
        subtasks = [{k: v for k, v in sub.items() if k not in moving} for sub in page.pop("subtasks")]
        found[each["task_id"]] = {k: v for k, v in page.items() if k not in moving} | {"subtasks": subtasks}
    return found


def test_a_view_that_is_killed_and_begun_again_has_lost_nothing_and_says_so(broker, topic_prefix, tmp_path):
    states = new_state_topic(broker, topic_prefix)
    kept = {key: row for key, row in fleet(now_us(), 48)[0].items() if int(row["health"][0]) == 3}
    states.put(kept | {"project-1/told/MIGRATE_LINUX_FILE": series(now_us(), progress=100, health=3)})
    states.tell(signal(now_us() - 40 * S, task="project-1/told"), signal(now_us(), "COMPLETE", task="project-1/told"))
    with running_view(broker, topic_prefix, tmp_path) as first:
        wait_until(lambda: len(first.shown("/tasks/told")["signals"]) == 2)
        before = known(first)
        with Stream(first) as stream:
            stream.read(begun)
            first.process.kill()
        port = int(first.url.rpartition(":")[2])
        with running_view(broker, topic_prefix, tmp_path, port=port) as again:
            wait_until(lambda: len(again.shown("/tasks/told")["signals"]) == 2)
            assert known(again) == before
            with Stream(again, last_id=stream.last_id) as resumed:
                resumed.read(begun)
                assert resumed.events[0][0] == "reset"


def test_the_page_of_a_task_comes_back_by_itself_with_what_happened_meanwhile(browser, broker, topic_prefix, tmp_path):
    states = new_state_topic(broker, topic_prefix)
    key = "project-1/there/MIGRATE_LINUX_FILE"
    states.put({key: series(now_us(), progress=41)})
    with running_view(broker, topic_prefix, tmp_path) as first:
        page = browser.new_page()
        page.goto(f"{first.url}/?project=project-1&task=there#token={first.tokens['operator']}")
        facts = page.locator(".facts.wide")
        expect(facts).to_contain_text("41\u00a0%")
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        first.process.kill()
        expect(page.locator("#live")).to_have_attribute("data-state", "lost")
        expect(facts).to_contain_text("41\u00a0%")
        states.put({key: series(now_us(), progress=73)})
        states.tell(signal(now_us(), "RESUMED", before="SILENT", after="OK", task="project-1/there"))
        port = int(first.url.rpartition(":")[2])
        with running_view(broker, topic_prefix, tmp_path, port=port):
            expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=120_000)
            expect(facts).to_contain_text("73\u00a0%")
            events = page.locator(".signals ol > li")
            expect(events).to_have_count(2)
            expect(events.first).to_contain_text("resumed", ignore_case=True)
        page.close()


def test_while_kafka_is_away_the_view_answers_says_so_and_does_not_fill_its_log(private_kafka, topic_prefix, tmp_path):
    states = new_state_topic(private_kafka.client, topic_prefix)
    key = "project-1/a/MIGRATE_LINUX_FILE"
    states.put({key: series(now_us(), progress=1)})
    with running_view(private_kafka.client, topic_prefix, tmp_path) as view:
        private_kafka.kill()
        wait_until(lambda: "not heard from" in view.get("/readyz").json()["checks"]["kafka"])
        assert view.get("/readyz").status == 200
        assert view.shown("/tasks/a")["progress"] == 1
        wait_until(lambda: float(view.get("/tasks").headers["X-View-Lag"]) > 8)
        assert "%3|" not in view.log.read_text()
        assert len(view.log.read_text().splitlines()) <= 10
        private_kafka.restart()
        wait_until(lambda: view.get("/readyz").json()["checks"]["kafka"] == "ok")
        again = StateTopic(private_kafka.client, states.topics)
        again.put({key: series(now_us(), progress=2)})
        wait_until(lambda: view.shown("/tasks/a")["progress"] == 2)
        wait_until(lambda: float(view.get("/tasks").headers["X-View-Lag"]) < 2)

"""`taskstream tasks` against a running view: lists, one task, errors in a sentence, and a watch that outlives the view."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from signal import SIGINT

import pytest
from click.testing import CliRunner, Result

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.ports import free_port
from taskstream.compose.view_client import ViewClient
from taskstream.producer.client.auth_token import AuthToken
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, running_view, series, signal
from tests.private_files import write_private
from tests.waiting import LIMIT_S, wait_until

TASKS = 36


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    topic.put(*fleet(now_us(), TASKS))
    topic.put(
        {"project-1/shown/MIGRATE_LINUX_FILE": series(now_us(), first_seen=now_us() - 700 * S)},
        {"project-1/shown/MIGRATE_LINUX_FILE": "copying \x1b[2Jx"},
    )
    topic.tell(signal(now_us() - 30 * S, task="project-1/shown"))
    return topic


@pytest.fixture(scope="module")
def view(broker: KafkaClient, states: StateTopic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    with running_view(broker, states.topics.prefix, tmp_path_factory.mktemp("view")) as running:
        wait_until(lambda: running.shown("/tasks/shown")["signals"])
        yield running


def run(view: RunningView, *arguments: str, whose: str = "operator") -> Result:
    env = {"TASKSTREAM_TASKS_ENDPOINT": view.url, "TASKSTREAM_TASKS_TOKEN": view.tokens[whose]}
    return CliRunner().invoke(cli, ["tasks", *arguments], env=env)


def test_a_list_for_people_has_a_line_a_task_the_worst_first_and_no_colours(view):
    result = run(view, "list")
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "HEALTH",
        "TASK",
        "PROJECT",
        "SUBTASK",
        "DONE",
        "BYTES",
        "LAST",
        "30",
        "RATE",
        "TREND",
        "ENDS",
        "WHY",
    ]
    assert len(lines) == 1 + TASKS + 1
    assert lines[1].startswith(("silent", "no progress"))
    assert "\x1b" not in result.output


def test_what_is_left_out_of_a_list_is_told_beside_it(view):
    result = run(view, "list", "--limit", "5")
    assert len(result.stdout.splitlines()) == 1 + 5
    assert f"5 of {TASKS + 1} tasks" in result.stderr


def test_filters_and_sort_are_those_of_the_api(view):
    listed = json.loads(run(view, "list", "--health", "slow", "--health", "SILENT", "-o", "json").stdout)
    assert {task["health"] for task in listed} == {"SLOW", "SILENT"}
    falling = [task["progress"] for task in json.loads(run(view, "list", "--sort", "-progress", "-o", "json").stdout)]
    assert falling == sorted(falling, reverse=True)
    only = run(view, "list", "-q", "SHOWN", "--project", "project-1", "-o", "ndjson").stdout.splitlines()
    assert [json.loads(line)["task_id"] for line in only] == ["shown"]


def test_json_lines_go_over_all_pages(view):
    lines = run(view, "list", "-o", "ndjson", "--limit", "1000").stdout.splitlines()
    assert len({json.loads(line)["task_id"] for line in lines}) == TASKS + 1


def test_one_task_is_shown_with_its_signals_and_nothing_that_a_terminal_obeys(view):
    result = run(view, "show", "shown")
    assert result.exit_code == 0
    assert "no report for 2 min (limit 1 min)" in result.stdout
    assert "copying \\x1b[2Jx" in result.stdout
    assert "\x1b" not in result.stdout
    assert json.loads(run(view, "show", "shown", "-o", "json").stdout)["task_id"] == "shown"
    assert len(run(view, "show", "shown", "-o", "ndjson").stdout.splitlines()) == 1


def test_a_task_that_is_not_there_is_exit_code_1_and_a_sentence(view):
    result = run(view, "show", "nowhere")
    assert result.exit_code == 1
    assert "no task 'nowhere' was ever reported" in result.stderr
    assert "Traceback" not in result.output


def test_another_projects_task_is_not_there(view):
    assert run(view, "show", "shown", whose="other").exit_code == 1


def test_a_wrong_token_is_exit_code_1_and_says_what_to_give(view):
    result = CliRunner().invoke(cli, ["tasks", "list", "--endpoint", view.url, "--token", "wrong"])
    assert result.exit_code == 1
    assert "401" in result.stderr
    assert "role read" in result.stderr


def test_a_token_without_the_role_is_exit_code_1(view):
    assert "403" in run(view, "list", whose="agent").stderr


def test_a_sort_that_is_none_is_wrong_usage_with_the_ones_there_are(view):
    result = run(view, "list", "--sort", "luck")
    assert result.exit_code == 2
    assert "must be one of" in result.stderr


def test_a_token_may_lie_in_a_file_and_one_of_the_two_must_be_given(view, tmp_path):
    file = write_private(tmp_path / "token", view.tokens["reader"] + "\n")
    arguments = ["tasks", "list", "--endpoint", view.url]
    assert CliRunner().invoke(cli, [*arguments, "--token-file", str(file)]).exit_code == 0
    assert CliRunner().invoke(cli, arguments).exit_code == 2


@pytest.mark.parametrize("command", [["list"], ["show", "t-1"], ["watch"], ["watch", "-o", "ndjson"]])
def test_a_view_that_cannot_be_reached_is_told_at_once(command):
    nowhere = f"http://127.0.0.1:{free_port()}"
    result = CliRunner().invoke(cli, ["tasks", *command, "--endpoint", nowhere, "--token", "t"])
    assert result.exit_code == 1
    assert f"the view at {nowhere} cannot be reached" in result.stderr
    assert "Traceback" not in result.output


def test_an_endpoint_that_is_none_is_wrong_usage():
    result = CliRunner().invoke(cli, ["tasks", "list", "--endpoint", "ftp://x", "--token", "t"])
    assert result.exit_code == 2
    assert "http(s)://host" in result.stderr


def watching(view: RunningView, *options: str, **streams) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        "TASKSTREAM_TASKS_ENDPOINT": view.url,
        "TASKSTREAM_TASKS_TOKEN": view.tokens["operator"],
        "TERM": "xterm-256color",
    }
    command = [sys.executable, "-c", "from taskstream.compose.cli import main; main()", "tasks", "watch", *options]
    return subprocess.Popen(command, env=env, **streams)


class Lines:
    """What a process says, as it says it."""

    def __init__(self, stream) -> None:
        self.all: list[dict] = []
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream) -> None:
        for line in stream:
            self.all.append(json.loads(line))

    def about(self, task_id: str) -> list[tuple[str, int | None]]:
        return [(each["event"], each.get("progress")) for each in self.all if each.get("task_id") == task_id]


def test_a_watch_tells_what_changes_and_survives_a_view_that_is_killed(broker, states, tmp_path):
    key = "project-1/watched/MIGRATE_LINUX_FILE"
    states.put({key: series(now_us(), progress=1)})
    with running_view(broker, states.topics.prefix, tmp_path) as first:
        port = int(first.url.rpartition(":")[2])
        process = watching(first, "-q", "watched", "-o", "ndjson", stdout=subprocess.PIPE)
        try:
            lines = Lines(process.stdout)
            wait_until(lambda: lines.about("watched") == [("task", 1)])
            states.put({key: series(now_us(), progress=2)})
            wait_until(lambda: lines.about("watched")[-1] == ("task", 2))
            first.process.kill()
            wait_until(lambda: any(each["event"] == "lost" for each in lines.all))
            states.put({key: series(now_us(), progress=3)})
            with running_view(broker, states.topics.prefix, tmp_path, port=port):
                wait_until(lambda: lines.about("watched")[-1] == ("task", 3))
                states.forget([key])
                wait_until(lambda: lines.about("watched")[-1] == ("left", None))
        finally:
            process.terminate()
            process.wait(LIMIT_S)
            process.stdout.close()


def test_on_a_terminal_a_watch_is_a_live_table_in_colour_and_ends_with_ctrl_c(view):
    ours, theirs = pty.openpty()
    process = watching(view, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                seen.extend(os.read(ours, 65536))
            except OSError:
                return

    threading.Thread(target=read, daemon=True).start()
    try:
        wait_until(lambda: b"no progress" in seen and b"live; Ctrl-C stops" in seen and b"\x1b[31m" in seen)
        process.send_signal(SIGINT)
        assert process.wait(LIMIT_S) == 0
        assert b"Traceback" not in seen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_ages_are_by_the_clock_of_the_view_however_wrong_the_readers_is(view):
    assert re.search(r"last report +1 s ago", run(view, "show", "shown").stdout)
    token = AuthToken.of(view.tokens["operator"])
    with ViewClient(view.url, token, clock_ms=lambda: now_us() // 1000 - 600_000) as client:
        client.fleet({})
        assert client.now_ms() == now_us() // 1000

"""`taskstream simulate` on a real broker: what it says that it sent is what the worker's state says that it heard."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from click.testing import CliRunner, Result

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.ports import free_port
from taskstream.producer.clock import SteppedClock
from taskstream.schemas.topics import Topics, series_key
from tests.pipeline.streams import committed, newest_by_key, read_all, records, worker
from tests.producer.edges import running_edge
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["simulate", "--seed", "7", "-o", "json", *arguments])


@pytest.fixture
def no_report_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes only while the command waits: it sends each report when it is due, also where it stands still itself."""
    monkeypatch.setattr("taskstream.compose.cli.agents.simulate.time", SteppedClock(time.time()))


def to_topic(broker: KafkaClient, topics: Topics, *more: str) -> list[str]:
    kafka = ["--to-topic", "--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
    return [*kafka, "--project", "p", *more]


def told(result: Result, project: str) -> dict[str, dict]:
    """By series: what it says of each subtask."""
    tasks = json.loads(result.stdout)["tasks"]
    return {
        series_key(project, task["task_id"], each["subtask_name"]): each for task in tasks for each in task["subtasks"]
    }


def states(broker: KafkaClient, topics: Topics) -> dict[str, dict]:
    rows = read_all(broker.bootstrap_servers, topics.state.name)
    live = newest_by_key(rows)
    last = {message.key().decode(): message for message in rows}
    return {key: records([last[key]], "SeriesState")[0] for key in live}


def test_over_http_the_state_counts_what_was_acknowledged(broker, topics, tmp_path):
    with running_edge(broker, topics.prefix, tmp_path) as edge, worker(broker.bootstrap_servers, topics, tmp_path):
        result = simulate(
            *("--tasks", "25", "--rate", "60", "--for", "8s"), *("--endpoint", edge.url, "--token", edge.token)
        )
        assert result.exit_code == 0 or "was not achieved" in result.stderr, result.stderr
        account = json.loads(result.stdout)
        sent = account["acknowledged"]
        assert (account["due"], sent + account["skipped"], account["retried"]) == (480, 480, 0)
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == sent)
    found, said = states(broker, topics), told(result, "project-1")
    assert {key: row["reports"] for key, row in found.items()} == {
        key: each["acknowledged"] for key, each in said.items()
    }
    for key, row in found.items():
        if not row["held"] and not row["stale"]:
            assert row["replicatesize"] == said[key]["last"]["replicatesize"], key
            assert row["agent_time"] == said[key]["last"]["agent_time"], key


@pytest.mark.usefixtures("no_report_is_late")
def test_straight_to_the_topic_with_a_past_the_state_knows_every_kind(broker, topics, tmp_path):
    with worker(broker.bootstrap_servers, topics, tmp_path):
        result = simulate(*to_topic(broker, topics, "--tasks", "20", "--rate", "5", "--for", "1s", "--past", "40m"))
        assert result.exit_code == 0, result.stderr
        sent = json.loads(result.stdout)["acknowledged"]
        assert sent == 5 * 2_401
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == sent)
        wait_until(lambda: any(row["silent_since"] for row in states(broker, topics).values()))
    found, said = states(broker, topics), told(result, "p")
    assert {key: row["reports"] for key, row in found.items()} == {
        key: each["acknowledged"] for key, each in said.items()
    }
    kinds = {task["task_id"]: task["kind"] for task in json.loads(result.stdout)["tasks"]}
    copies = {kinds[row["task_id"]]: row for row in found.values() if row["subtask_name"].startswith("MIGRATE_")}
    assert copies["stuck"]["health"] == "NO_PROGRESS"
    assert copies["silent"]["silent_since"] is not None
    assert copies["restarting"]["resets"] == 1
    assert copies["stuttering"]["stale"] > 0
    assert copies["slowing"]["rate_slow_bps"] < 0.5 * copies["slowing"]["rate_peak_bps"]
    assert Counter(row["health"] for row in found.values())["COMPLETE"] > 10


@pytest.mark.usefixtures("no_report_is_late")
def test_the_same_seed_sends_the_same_twice(broker, topics):
    def sent() -> list:
        result = simulate(*to_topic(broker, topics, "--for", "1s", "--past", "1m"))
        assert result.exit_code == 0, result.stderr
        tasks = json.loads(result.stdout)["tasks"]
        for task in tasks:
            for subtask in task["subtasks"]:
                del subtask["last"]["agent_time"]
        return tasks

    assert sent() == sent()


def test_interrupted_it_tells_what_was_sent_so_far(broker, topics):
    command = [sys.executable, "-m", "taskstream", "simulate", "-o", "json", "--seed", "7", "--for", "1h"]
    process = subprocess.Popen(
        [*command, *to_topic(broker, topics)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        while "acknowledged" not in (line := process.stderr.readline()):
            assert line, "it ended by itself"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130, err
    account = json.loads(out)
    assert account["stopped"]
    assert account["acknowledged"] == len(read_all(broker.bootstrap_servers, topics.progress.name))
    assert "Traceback" not in err


@pytest.mark.slow  # the client tries for a minute
def test_an_edge_that_is_away_is_told_and_nothing_counts_as_acknowledged():
    result = simulate(
        *("--tasks", "4", "--rate", "4", "--for", "1s", "--lanes", "4"),
        *("--endpoint", f"http://127.0.0.1:{free_port()}", "--token", "t"),
    )
    account = json.loads(result.stdout)
    assert result.exit_code == 1
    assert account["acknowledged"] == 0
    assert account["unanswered"] == account["sent"] > 0
    assert account["skipped"] == 4 - account["sent"]
    assert "no final response" in result.stderr


def test_a_token_that_is_not_taken_ends_it_at_once(edge):
    result = simulate("--for", "1h", "--endpoint", edge.url, "--token", "nobody's")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["acknowledged"] == 0
    assert "401" in result.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--endpoint", "http://127.0.0.1:1"],
        ["--endpoint", "nonsense", "--token", "t"],
        ["--endpoint", "http://127.0.0.1:1", "--token", "t", "--past", "5m"],
        ["--endpoint", "http://127.0.0.1:1", "--token-file", "nowhere"],
        ["--endpoint", "http://127.0.0.1:1", "--to-topic"],
        ["--to-topic"],
        ["--to-topic", "--bootstrap-servers", "127.0.0.1:1", "--project", "a/b"],
        ["--rate", "0"],
        ["--for", "soon"],
    ],
)
def test_wrong_words_are_wrong_usage(wrong: list[str]):
    assert simulate(*wrong).exit_code == 2


def test_a_topic_that_is_not_there_is_told_with_its_remedy(broker, topic_prefix):
    result = simulate(*to_topic(broker, Topics(topic_prefix)))
    assert result.exit_code == 1
    assert "taskstream topics create" in result.stderr


@pytest.mark.usefixtures("no_report_is_late")
def test_as_a_table_each_task_is_a_line(broker, topics):
    arguments = to_topic(broker, topics, "--tasks", "5", "--for", "1s")
    result = CliRunner().invoke(cli, ["simulate", "--seed", "7", *arguments])
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["TASK", *(f"sim-7-0000{number}" for number in range(5))]
    assert "20 sent" in result.stderr

"""A worker with a limit of tasks per project, on a real broker: what exceeds it is rejected, and can be redriven."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli
from tests.pipeline.commands.replays import answer, replay
from tests.pipeline.streams import committed, has_counted, measured, newest_by_key, read_all, report, send, worker
from tests.waiting import wait_until

LIMIT = 4
TASKS = 30
ROUNDS = 3
START_US = 1_700_000_000_000_000
LIMITED = ("--tasks-per-project", str(LIMIT))


@pytest.fixture
def partitions() -> int:
    return 1


def test_reports_of_tasks_too_many_are_rejected_and_redriven_once_the_limit_is_raised(broker, topics, tmp_path):
    bootstrap, keep = broker.bootstrap_servers, ("--keep", "36500")
    send(
        bootstrap,
        topics,
        (report(task, START_US + step, step) for step in range(ROUNDS) for task in range(TASKS)),
    )
    with worker(bootstrap, topics, tmp_path, "first", *LIMITED, *keep):
        wait_until(lambda: committed(bootstrap, topics) == ROUNDS * TASKS)
        wait_until(lambda: has_counted(tmp_path, "refused_total", ROUNDS * (TASKS - LIMIT), "first"))
        assert measured(tmp_path, "rejected_total", "first") == 0
    admitted = {f"p/task-{task}/MIGRATE_LINUX_FILE" for task in range(LIMIT)}
    assert set(newest_by_key(read_all(bootstrap, topics.state.name))) == admitted
    rejected = read_all(bootstrap, topics.rejected.name)
    assert len(rejected) == ROUNDS * (TASKS - LIMIT)
    assert {dict(each.headers())["taskstream_reason"] for each in rejected} == {b"too_many_tasks"}
    assert b"project p has 4 live tasks" in dict(rejected[0].headers())["taskstream_detail"]

    same = answer(replay(broker, topics, "diff", "-o", "json", *LIMITED, *keep))
    assert (same["differences"], same["partitions"][0]["unreadable"]) == ([], {"too_many_tasks": len(rejected)})

    with worker(bootstrap, topics, tmp_path, "restarted", *LIMITED, *keep):
        send(bootstrap, topics, [report(0, START_US + 10, 10), report(TASKS, START_US + 10, 10)])
        wait_until(lambda: has_counted(tmp_path, "refused_total", 1, "restarted"))

    arguments = ["--bootstrap-servers", bootstrap, "--prefix", topics.prefix, "--execute", "-o", "json"]
    redriven = CliRunner().invoke(cli, ["rejected", "redrive", *arguments])
    assert redriven.exit_code == 0, redriven.output
    assert json.loads(redriven.stdout)
    with worker(bootstrap, topics, tmp_path, "raised", "--tasks-per-project", "0", *keep):
        wait_until(lambda: len(newest_by_key(read_all(bootstrap, topics.state.name))) == TASKS + 1)

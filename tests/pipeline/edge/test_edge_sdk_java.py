"""The official Java SDK, unmodified, against an edge and a view."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.consumer.view.views import new_state_topic, now_us, running_view, series
from tests.private_files import write_private
from tests.producer.edges import running_edge

PROGRAM = Path(__file__).parents[2] / "foreign" / "sdk-java" / "Report.java"
ACCESS, SECRET, PROJECT = "AK12345", "a secret of some length", "project-7"
WORKS = ["t-1", "with space", "ümlaut", "ü b", "a+b", "a:b@c", "tilde~x"]
FAILS = ["a/b", "a?b", "a#b", "a\\b"]
"""The SDK puts these into the URL as they are, where they end or divide the path."""


@pytest.fixture(scope="module")
def servers(broker, tmp_path_factory):
    """The addresses of an edge and of a view that has all these tasks; both know the key."""
    folder = tmp_path_factory.mktemp("signing")
    keys = folder / "keys.jsonl"
    key = {"access": ACCESS, "secret": SECRET, "project": PROJECT, "roles": ["report", "read"]}
    write_private(keys, json.dumps(key) + "\n")
    states = new_state_topic(broker)
    states.put({f"{PROJECT}/{task}/MIGRATE_LINUX_FILE": series(now_us()) for task in WORKS + FAILS})
    prefix, known = states.topics.prefix, ("--keys", str(keys))
    with (
        running_edge(broker, prefix, folder, *known) as edge,
        running_view(broker, prefix, folder, *known, stopped_clock=False) as view,
    ):
        yield edge.url, view.url


def printed(java_sdk, servers, secret, *tasks):
    command = [*java_sdk, str(PROGRAM), *servers, ACCESS, secret, PROJECT, *tasks]
    utf8 = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, env=utf8)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_reports_tasks_and_lists_go_through_whatever_a_task_is_called(java_sdk, servers):
    *by_task, listed = printed(java_sdk, servers, SECRET, *WORKS, *FAILS)
    results = dict(zip(WORKS + FAILS, zip(by_task[::2], by_task[1::2], strict=True), strict=True))
    assert {task: results[task] for task in WORKS} == {task: ("200", task) for task in WORKS}
    assert {status for task in FAILS for status in results[task]} <= {"401", "404"}
    assert listed == "1"


def test_a_wrong_secret_is_refused(java_sdk, servers):
    assert printed(java_sdk, servers, "another", "t-1") == ["401", "401", "401"]

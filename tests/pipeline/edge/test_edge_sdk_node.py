"""The core of the official Node.js SDK, unmodified, against the edge. There is no package of its client for this service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.private_files import write_private
from tests.producer.edges import running_edge

PROGRAM = Path(__file__).parents[2] / "foreign" / "sdk" / "report.mjs"
KEY = ("AK12345", "a secret of some length", "project-7")


@pytest.fixture(scope="module")
def signing_edge(broker, edge_topics, tmp_path_factory):
    folder = tmp_path_factory.mktemp("signing")
    keys = folder / "keys.jsonl"
    write_private(keys, json.dumps({"access": KEY[0], "secret": KEY[1], "project": KEY[2], "roles": ["report"]}) + "\n")
    with running_edge(broker, edge_topics.prefix, folder, "--keys", str(keys)) as running:
        yield running


@pytest.fixture(scope="module")
def program(node_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    (folder / "node_modules").symlink_to(node_folder / "node_modules")  # Node looks for packages beside the program
    return shutil.copy(PROGRAM, folder)


def status(program, edge, task_id, secret=KEY[1]):
    command = ["node", program, edge.url, KEY[0], secret, KEY[2], task_id]
    home = {**os.environ, "HOME": str(Path(program).parent)}  # where the SDK keeps an id of the machine
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=home)
    return done.stdout.split()[-1:], done.stderr


@pytest.mark.parametrize("task_id", ["task-1", "with space", "ümlaut", "a+b", "a:b@c", "tilde~x"])
def test_a_report_of_the_sdk_is_accepted_whatever_its_task_is_called(signing_edge, program, task_id):
    assert status(program, signing_edge, task_id) == (["200"], "")


def test_a_wrong_secret_is_refused(signing_edge, program):
    assert status(program, signing_edge, "with space", secret="another")[0] == ["401"]

"""The view over TLS: the page, its API and the command line speak to it; plain HTTP does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.views import RunningView, new_state_topic, now_us, running_view, series
from tests.pipeline.edge.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def secure(
    broker: KafkaClient, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningView]:
    pair = authority.vouch_for("view")
    topic = new_state_topic(broker)
    topic.put({"project-1/task-1/MIGRATE_LINUX_FILE": series(now_us())})
    options = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    trust = {"ca_certs": str(authority.file), "cert_reqs": "CERT_REQUIRED"}
    folder = tmp_path_factory.mktemp("secure")
    with running_view(broker, topic.topics.prefix, folder, *options, tls=trust) as running:
        yield running


def test_page_and_tasks_are_served_over_tls(secure: RunningView):
    assert secure.url.startswith("https://")
    assert secure.get("/", by=None).status == 200
    assert [task["task_id"] for task in secure.shown("/tasks", by="reader")["tasks"]] == ["task-1"]


def test_plain_http_gets_no_answer(secure: RunningView):
    with urllib3.PoolManager(timeout=120) as http, pytest.raises(urllib3.exceptions.HTTPError):
        http.request("GET", secure.url.replace("https://", "http://"), retries=False)


def test_the_command_line_trusts_the_named_authority_only(secure: RunningView, authority: Authority):
    def listed(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taskstream", "tasks", "list", "--endpoint", secure.url, *options],
            env={**os.environ, "TASKSTREAM_TASKS_TOKEN": secure.tokens["operator"]},
            capture_output=True,
            text=True,
            check=False,
        )

    trusting = listed("--ca-file", str(authority.file))
    assert trusting.returncode == 0, trusting.stderr
    assert "task-1" in trusting.stdout
    assert "--ca-file" in listed().stderr


def test_a_certificate_without_its_key_is_wrong_usage(authority: Authority, tmp_path: Path):
    certificate = ("--tls-cert", str(authority.file))
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "taskstream",
            "view",
            "--insecure-open",
            "--bootstrap-servers",
            "127.0.0.1:1",
            *certificate,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 2
    assert "--tls-key" in result.stderr

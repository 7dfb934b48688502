"""`taskstream notify` and a real Alertmanager: alerts that fire, resolve and are told again after it lost them."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from taskstream.compose.local.ports import free_port
from tests.pipeline.notify.notifiers import config, notifier, raise_signals, signal, undelivered, webhook
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

ROUTE = """
route: {{receiver: hook, group_by: [kind], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{{url: "{url}", send_resolved: true}}]
"""
CONFIG = """
group_for = "1s"
view = "https://view.example"
[receivers.oncall]
type = "alertmanager"
url = "http://127.0.0.1:{port}"
labels = {{severity = "warning"}}
per_minute = 6000
burst = 1000
{more}
[[routes]]
receivers = ["oncall"]
kinds = ["SILENT", "SLOW", "NO_PROGRESS", "RESET"]
"""


@contextlib.contextmanager
def running(program: Path, folder: Path, port: int, url: str) -> Iterator[None]:
    """An Alertmanager that tells a webhook."""
    folder.mkdir(exist_ok=True)
    (folder / "alertmanager.yml").write_text(ROUTE.format(url=url))
    options = [f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data", "--cluster.listen-address="]
    with (folder / "alertmanager.log").open("ab") as out:
        process = subprocess.Popen(
            [program, *options, f"--web.listen-address=127.0.0.1:{port}"],
            cwd=program.parents[2],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )

    def is_up() -> bool:
        assert process.poll() is None, (folder / "alertmanager.log").read_text()
        return is_ready(port)

    try:
        wait_until(is_up, (folder / "alertmanager.log").read_text)
        yield
    finally:
        process.kill()
        process.wait(LIMIT_S)


def is_ready(port: int) -> bool:
    try:
        return urllib3.request("GET", f"http://127.0.0.1:{port}/-/ready", retries=False, timeout=LIMIT_S).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def alerts(port: int) -> dict[str, dict[str, Any]]:
    """[task] The alerts that are active."""
    found = json.loads(urllib3.request("GET", f"http://127.0.0.1:{port}/api/v2/alerts", timeout=LIMIT_S).data)
    return {each["labels"]["task_id"]: each for each in found}


def told(requests: list[dict[str, Any]], status: str) -> set[str]:
    """The tasks of which Alertmanager told its webhook this."""
    return {each["labels"]["task_id"] for one in requests for each in one["alerts"] if each["status"] == status}


def test_a_state_fires_with_labels_words_and_link_and_its_end_resolves_it(alertmanager, broker, topics, tmp_path):
    port = free_port()
    with webhook() as hook, running(alertmanager, tmp_path / "am", port, hook.url):
        path = config(tmp_path, CONFIG.format(port=port, more='event_for = "1s"'))
        with notifier(broker, topics, path) as process:
            raise_signals(broker, topics, [signal("a"), signal("b", "SLOW"), signal("c", "RESET")])
            wait_until(lambda: alerts(port).keys() == {"b", "a"}, process.words)  # the event is over
            found = alerts(port)["a"]
            raise_signals(broker, topics, [signal("a", "RESUMED", before="SILENT")])
            wait_until(lambda: alerts(port).keys() == {"b"}, process.words)
            wait_until(lambda: told(hook.accepted, "resolved") >= {"a"}, process.words)
    assert found["labels"] == {
        "alertname": "TaskstreamSilent",
        "kind": "SILENT",
        "project_id": "p",
        "severity": "warning",
        "subtask": "MIGRATE_LINUX_FILE",
        "task_id": "a",
    }
    assert found["generatorURL"] == "https://view.example/?task=a&project=p"
    assert found["annotations"]["description"].startswith("no report for")
    assert told(hook.accepted, "firing") >= {"a", "b"}
    assert undelivered(tmp_path) == []


def test_alerts_that_a_restarted_alertmanager_lost_are_told_again_also_by_a_notifier_that_restarted(
    alertmanager, broker, topics, tmp_path
):
    port = free_port()
    path = config(tmp_path, CONFIG.format(port=port, more='resend_every = "1s"'))
    with webhook() as hook:
        with running(alertmanager, tmp_path / "first", port, hook.url), notifier(broker, topics, path) as process:
            raise_signals(broker, topics, [signal("a"), signal("b")])
            wait_until(lambda: alerts(port).keys() == {"a", "b"}, process.words)
            raise_signals(broker, topics, [signal("b", "RESUMED", before="SILENT")])
            wait_until(lambda: alerts(port).keys() == {"a"}, process.words)
        with running(alertmanager, tmp_path / "second", port, hook.url), notifier(broker, topics, path) as process:
            wait_until(lambda: alerts(port).keys() == {"a"}, process.words)
        with notifier(broker, topics, path) as process, running(alertmanager, tmp_path / "third", port, hook.url):
            wait_until(lambda: alerts(port).keys() == {"a"}, process.words)
    assert undelivered(tmp_path) == []

"""A stopped worker on a real broker: the view says how far it is behind, and calls no task silent for it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, expect

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.consumer.view.views import RunningView, S, now_us, running_view
from tests.pipeline.clocked_worker import Clock, working
from tests.pipeline.streams import committed, producer, read_all, records, report
from tests.waiting import LIMIT_S, wait_until

SAYS = "reports are arriving, the workers are 4 min behind: health is as of "


def send(broker: KafkaClient, topics: Topics, ages_s: list[int]) -> None:
    """Reports of one task, received so many seconds ago, and published then."""
    sender = producer(broker.bootstrap_servers)
    for age_s in ages_s:
        received_at = now_us() - age_s * S
        key, value = report(1, received_at, 10_000 - age_s)
        sender.produce(topics.progress.name, value, key, timestamp=received_at // 1000)
    assert sender.flush(LIMIT_S) == 0


def health(view: RunningView) -> str:
    return view.shown("/tasks/task-1")["health"]


def command(view: RunningView, *arguments: str):
    env = {"TASKSTREAM_TASKS_ENDPOINT": view.url, "TASKSTREAM_TASKS_TOKEN": view.tokens["operator"]}
    return CliRunner().invoke(cli, ["tasks", *arguments], env=env)


def test_a_stopped_worker_is_said_everywhere_and_no_task_is_silent_for_it(
    broker: KafkaClient, topic_prefix: str, tmp_path, browser: Browser
):
    topics, clock = Topics(topic_prefix, partitions=2), Clock()
    create_topics(broker.config(), topics)
    clock.now_us = now_us() - 250 * S
    with working(broker, topics, clock):
        send(broker, topics, [260, 251])
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == 2)
    with running_view(broker, topics.prefix, tmp_path) as view:
        page = browser.new_context().new_page()
        page.goto(f"{view.url}/#token={view.tokens['operator']}")
        wait_until(lambda: health(view) == "SILENT")
        expect(page.locator("#pipeline")).to_be_hidden()
        assert view.shown("/fleet")["pipeline"]["records_behind"] == 0

        send(broker, topics, [240, 239, 1])
        wait_until(lambda: health(view) == "OK")
        for path in ("/tasks", "/fleet", "/tasks/task-1", "/readyz"):
            shown = view.shown(path)["pipeline"]
            assert shown["text"].startswith(SAYS), path
            assert (round(shown["behind_s"]), shown["records_behind"]) == (240, 3)
            assert shown["as_of_ms"] == now_us() // 1000 - 240_000
        ready = view.get("/readyz", by=None)
        assert (ready.status, ready.json()["checks"]["workers"][: len(SAYS)]) == (200, SAYS)
        metrics = view.get("/metrics", by=None).data.decode()
        assert "taskstream_pipeline_behind_seconds 240.0" in metrics  # and a fraction of a millisecond
        assert "taskstream_pipeline_records_behind 3.0" in metrics
        assert SAYS in command(view, "list").stderr
        assert SAYS in command(view, "show", "task-1").stdout
        expect(page.locator("#pipeline")).to_contain_text(SAYS)
        expect(page.locator("#rows tr strong").first).to_have_text("moving")

        clock.now_us = now_us()
        with working(broker, topics, clock):
            wait_until(lambda: view.shown("/fleet")["pipeline"]["records_behind"] == 0)
            expect(page.locator("#pipeline")).to_be_hidden()
            wait_until(lambda: view.shown("/tasks/task-1")["last_seen_ms"] == (now_us() - S) // 1000)
            assert health(view) == "OK"
            assert json.loads(command(view, "show", "task-1", "-o", "json").stdout)["pipeline"]["text"] is None
    signals = records(read_all(broker.bootstrap_servers, topics.signals.name), "SignalRaised")
    assert "SILENT" not in [each["signal"] for each in signals]


def test_a_group_that_never_read_is_behind_since_the_first_report(broker: KafkaClient, topic_prefix: str, tmp_path):
    topics = Topics(topic_prefix, partitions=2)
    create_topics(broker.config(), topics)
    send(broker, topics, [240])
    with running_view(broker, topics.prefix, tmp_path, "--group", "another") as view:
        assert view.shown("/fleet")["pipeline"]["behind_s"] == pytest.approx(240, abs=0.01)

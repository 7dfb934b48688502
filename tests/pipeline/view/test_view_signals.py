"""Signals on a real broker: beside each task in time order, live on its page, as text; and a registry that goes away."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.registry.registration import register
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.registry.registry_ids import RegistryIds
from taskstream.schemas.topics import Topics
from tests.consumer.view.fleets import HOSTILE
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, running_view, series, signal
from tests.schemas.registry.registry_server import serving
from tests.waiting import wait_until

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    now = now_us()
    topic.put({f"project-1/{name}/MIGRATE_LINUX_FILE": series(now) for name in ("t-1", "t-2", "t-3", "t-4")})
    old, young = now - 8 * 86_400 * S, now - 3 * 86_400 * S
    topic.tell(signal(old, "SLOW", task="project-1/t-2"), timestamp_ms=old // 1000)
    topic.tell(signal(young, "RESET", task="project-1/t-2"), timestamp_ms=young // 1000)
    for name in ("project-1/t-1", "project-1/t-4"):
        resumed = signal(now - 20 * S, "RESUMED", before="SILENT", after="OK", task=name)
        topic.tell(signal(now - 60 * S, task=name), resumed)
    return topic


@pytest.fixture(scope="module")
def view(broker: KafkaClient, states: StateTopic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    with running_view(broker, states.topics.prefix, tmp_path_factory.mktemp("view")) as running:
        wait_until(lambda: running.shown("/tasks/t-1")["signals_problem"] is None)
        yield running


def told(view: RunningView, task_id: str) -> list[str]:
    return [each["signal"] for each in view.shown(f"/tasks/{task_id}")["signals"]]


def test_a_task_shows_its_signals_in_time_order_and_in_words(view):
    page = view.shown("/tasks/t-1", by="reader")
    assert [each["signal"] for each in page["signals"]] == ["SILENT", "RESUMED"]
    assert [each["text"] for each in page["signals"]] == [
        "no report for 2 min (limit 1 min)",
        "reports again after 15 min",
    ]


def test_signals_of_before_a_week_ago_are_not_read_back_and_younger_ones_are(view):
    assert told(view, "t-2") == ["RESET"]


def test_a_task_keeps_its_last_fifty(view, states):
    now = now_us()
    states.tell(*(signal(now + place, "ETA_MOVED", task="project-1/t-3") for place in range(60)))
    wait_until(lambda: len(told(view, "t-3")) == 50)
    assert view.shown("/tasks/t-3")["signals"][0]["raised_at_ms"] == (now + 10) // 1000


def test_nobody_sees_the_signals_of_another_projects_task(view):
    assert view.get("/tasks/t-1", by="other").status == 404


def test_a_signal_appears_on_the_open_page_by_itself_and_as_text(browser, view, states):
    page = browser.new_page()
    address = urlencode({"project": "project-1", "task": "t-4"})
    page.goto(f"{view.url}/?{address}#token={view.tokens['operator']}")
    items = page.locator(".signals ol > li")
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("no report for 2 min")  # and back: one event; the other is the begin
    name = HOSTILE.replace("/", "")  # a subtask with a slash is unreadable
    states.tell(signal(now_us(), HOSTILE, subtask_name=name, before=HOSTILE, after=HOSTILE, task="project-1/t-4"))
    expect(items).to_have_count(3)
    expect(items.first.locator("strong")).to_contain_text("<img src=x")
    assert page.locator("#task img, #task script").count() == 0
    assert "owned" not in page.title()
    page.close()


def test_a_registry_that_goes_away_loses_nothing_and_is_told(broker, topic_prefix, tmp_path):
    topics = Topics(topic_prefix, partitions=2)
    create_topics(broker.config(), topics)
    with serving() as server, Registry(server.url) as registry:
        register(registry, topics)
        states = StateTopic(broker, topics, RegistryIds(registry, topics))
        with running_view(broker, topic_prefix, tmp_path, "--schema-registry", server.url) as view:
            server.always = (500, "{}")
            states.put({"project-1/t-1/MIGRATE_LINUX_FILE": series(now_us())})
            wait_until(lambda: "the schema registry" in view.shown("/readyz")["checks"]["kafka"])
            assert view.get("/tasks/t-1").status == 404
            assert view.get("/healthz").status == 200
            server.always = None
            wait_until(lambda: view.get("/tasks/t-1").status == 200)
            wait_until(lambda: view.shown("/readyz")["checks"]["kafka"] == "ok")

"""Tasks that slow down together on a running view: GET /slowdowns, /fleet, metrics, `taskstream slowdowns`, the page."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from click.testing import CliRunner, Result
from playwright.sync_api import Browser, expect

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.views import RunningView, S, new_state_topic, now_us, running_view, series
from tests.waiting import wait_until

BUCKET_US = 60 * S
COPY, CLOSE = "MIGRATE_LINUX_FILE", "CONFIGURE_LINUX"


def moving(number: int, *, halved: bool = False) -> np.ndarray:
    """A row that moves; its rate halved three minutes ago, or not."""
    minutes = np.round(6e8 * np.exp(np.random.default_rng(number).normal(0.0, 0.05, 30)))
    minutes[27:] *= 0.5 if halved else 1.0
    open_us = now_us() // BUCKET_US * BUCKET_US
    began = {"first_seen": open_us - 40 * BUCKET_US, "rated_from": open_us - 40 * BUCKET_US}
    return series(now_us(), minute_bytes=minutes.astype(np.int64), complete_minutes=30, open_minute=open_us, **began)


@pytest.fixture(scope="module")
def view(broker: KafkaClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    topic = new_state_topic(broker)
    rows = {f"project-1/copy-{at}/{COPY}": moving(at, halved=at < 11) for at in range(12)}
    rows |= {f"project-1/close-{at}/{CLOSE}": moving(50 + at) for at in range(2)}
    topic.put(rows | {f"project-2/copy-{at}/{COPY}": moving(100 + at) for at in range(12)})
    with running_view(broker, topic.topics.prefix, tmp_path_factory.mktemp("view")) as running:
        wait_until(lambda: running.shown("/slowdowns")["slowdowns"], "the slowdown is found")
        yield running


def run(view: RunningView, *arguments: str, whose: str = "operator") -> Result:
    env = {"TASKSTREAM_SLOWDOWNS_ENDPOINT": view.url, "TASKSTREAM_SLOWDOWNS_TOKEN": view.tokens[whose]}
    return CliRunner().invoke(cli, ["slowdowns", *arguments], env=env)


def test_the_command_names_the_project_and_its_numbers(view):
    lines = run(view).stdout.splitlines()
    assert lines[0].split() == ["WHEN", "SHARED", "NAME", "FELL", "MOVING", "CHANCE", "STILL", "SLOW", "SUBTASKS"]
    assert lines[1].split()[1:5] == ["project", "project-1", "11", "14"]
    assert f"{COPY} 11/12, {CLOSE} 0/2" in lines[1]
    (found,) = json.loads(run(view, "-o", "json").stdout)
    assert len(found["tasks"]) == 11


def test_a_reader_of_another_project_sees_nothing_of_it(view):
    assert [each["name"] for each in view.shown("/slowdowns", by="reader")["slowdowns"]] == ["project-1"]
    assert view.shown("/slowdowns", by="other")["slowdowns"] == []
    assert view.shown("/fleet", by="other")["slowdowns"] == []
    assert view.get("/slowdowns?project=project-1", by="other").status == 400
    nothing = run(view, whose="other")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no tasks slowed down together" in nothing.stderr


def test_the_fleet_and_the_metrics_have_it(view):
    (found,) = view.shown("/fleet")["slowdowns"]
    assert (found["kind"], found["name"], found["fell"]) == ("project", "project-1", 11)
    assert view.shown("/fleet?project=project-2")["slowdowns"] == []
    text = view.get("/metrics").data.decode()
    assert 'taskstream_shared_slowdowns{kind="project"} 1.0' in text
    assert 'taskstream_shared_slowdowns{kind="fleet"} 0.0' in text
    assert "taskstream_shared_slowdown_tasks 11.0" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_names_it_and_links_to_its_tasks(browser: Browser, view: RunningView, scheme: str):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{view.url}/#token={view.tokens['operator']}")
    item = page.locator("#slowdowns li")
    expect(item).to_have_count(1)
    expect(item.locator("strong")).to_have_text("11 of 14 tasks slowed down together")
    expect(item).to_contain_text("in project project-1")
    expect(item).to_contain_text("migrate linux file 11 of 12")
    expect(item).to_contain_text("configure linux none of 2")
    item.locator("a").click()
    expect(page).to_have_url(f"{view.url}/?project=project-1")
    context.close()

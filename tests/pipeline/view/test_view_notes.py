"""Acknowledging and muting on a real broker: by whom, until when, and where it shows."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient
from playwright.sync_api import Browser, expect

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.views import (
    RunningView,
    S,
    StateTopic,
    asked_again,
    new_state_topic,
    now_us,
    running_view,
    series,
)
from tests.pipeline.view.test_view_page import opened, rows
from tests.waiting import LIMIT_S, wait_until

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    still = {"health": 2, "last_advance": now_us() - 900 * S, "health_since": now_us() - 900 * S}
    stuck = {f"project-1/stuck-{each}/MIGRATE_LINUX_FILE": series(now_us(), **still) for each in range(6)}
    topic.put({**stuck, "project-2/moving/MIGRATE_LINUX_FILE": series(now_us())})
    return topic


def sent(
    view: RunningView, method: str, task: str, body: Any = None, *, by: str = "operator", patient: bool = True
) -> Any:
    """The answer; a `patient` one repeats what could not be done in time."""
    raw = None if body is None else json.dumps(body).encode()
    headers = {"X-Auth-Token": view.tokens[by], "Content-Type": "application/json"}

    def ask() -> Any:
        return view.http.request(method, f"{view.url}/tasks/{task}/note", body=raw, headers=headers, retries=False)

    return asked_again(ask) if patient else ask()


def muting(**fields: Any) -> dict[str, Any]:
    return {"kind": "MUTED", "note": "known, network team", "until_ms": now_us() // 1000 + HOUR_MS} | fields


def metric(view: RunningView, name: str) -> float:
    text = view.get("/metrics", by=None).data.decode()
    return float(re.search(rf"^taskstream_{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


def test_a_muted_task_shows_its_note_and_needs_nobody_until_it_is_withdrawn(view):
    before = view.shown("/fleet")["needs_attention"]
    noted = sent(view, "PUT", "stuck-0", muting(by="anna"))
    assert noted.status == 200, noted.data
    note = view.shown("/tasks/stuck-0")["note"]
    assert note == noted.json()["note"]
    assert (note["kind"], note["by"], note["until_ms"]) == ("MUTED", "anna", now_us() // 1000 + HOUR_MS)
    assert view.shown("/fleet")["needs_attention"] == before - 1
    assert "stuck-0" not in [each["task_id"] for each in view.shown("/tasks?attention=needed")["tasks"]]
    assert [each["task_id"] for each in view.shown("/tasks?note=MUTED")["tasks"]] == ["stuck-0"]
    assert metric(view, 'tasks_noted{kind="MUTED"}') == 1
    assert metric(view, 'tasks_unmuted{health="NO_PROGRESS"}') == metric(view, 'tasks{health="NO_PROGRESS"}') - 1
    assert sent(view, "DELETE", "stuck-0").json()["note"] is None
    assert view.shown("/tasks/stuck-0")["note"] is None
    assert view.shown("/fleet")["needs_attention"] == before


def test_other_views_and_later_ones_have_the_note_too(broker, view, states, tmp_path):
    with running_view(broker, states.topics.prefix, tmp_path) as other:
        assert sent(view, "PUT", "stuck-1", muting()).status == 200
        wait_until(lambda: other.shown("/tasks/stuck-1")["note"] is not None)
    with running_view(broker, states.topics.prefix, tmp_path) as later:
        wait_until(lambda: later.shown("/tasks/stuck-1")["note"] is not None)
    sent(view, "DELETE", "stuck-1")


@pytest.mark.parametrize(("who", "status"), [("reader", 403), ("agent", 403), ("operator", 200)])
def test_only_an_operator_may(view, who, status):
    assert sent(view, "PUT", "stuck-2", muting(), by=who).status == status
    assert sent(view, "DELETE", "stuck-2", by=who).status == status


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (muting(kind="SNOOZED"), "kind"),
        (muting(note=""), "note"),
        (muting(until_ms=1), "until_ms"),
        (muting(until_ms=now_us() // 1000 + 8 * 24 * HOUR_MS), "within 7 days"),
        (muting(more=1), "more"),
        ([], "body"),
    ],
)
def test_a_note_that_breaks_a_rule_is_refused_with_the_rule(view, body, said):
    refused = sent(view, "PUT", "stuck-2", body)
    assert refused.status == 400
    assert said in refused.json()["error_msg"]


def test_an_unknown_task_and_another_method_are_refused(view):
    assert sent(view, "PUT", "nobody", muting()).status == 404
    assert sent(view, "POST", "stuck-2", muting()).status == 405


def test_the_command_line_acknowledges_mutes_shows_and_withdraws(view):
    env = {"TASKSTREAM_TASKS_ENDPOINT": view.url, "TASKSTREAM_TASKS_TOKEN": view.tokens["operator"]}

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli, ["tasks", *words], env=env)

    muted = run("mute", "stuck-3", "--for", "2h", "--note", "known")
    assert (muted.exit_code, muted.stdout.split(":")[0]) == (0, "project-1/stuck-3"), muted.output
    assert "muted until" in run("show", "stuck-3").stdout
    assert "stuck-3" in run("list", "--note", "MUTED").stdout
    assert "stuck-3" not in run("list", "--attention").stdout
    until_ms = now_us() // 1000 + HOUR_MS
    until = datetime.fromtimestamp(until_ms // 1000, UTC).isoformat()
    acknowledged = run("ack", "stuck-3", "--until", until, "--note", "seen", "--by", "ben", "-o", "json")
    note = json.loads(acknowledged.stdout)["note"]
    assert (note["kind"], note["by"], note["until_ms"] // 1000) == ("ACKNOWLEDGED", "ben", until_ms // 1000)
    assert run("unmute", "stuck-3").stdout == "project-1/stuck-3: no note\n"
    assert run("mute", "stuck-3", "--note", "endless").exit_code == 2
    assert "within 7 days" in run("mute", "stuck-3", "--for", "30d", "--note", "long").output


def test_the_page_mutes_a_task_and_shows_it_in_the_list(browser: Browser, view):
    with opened(browser, view) as page:
        page.goto(f"{view.url}/?{urlencode({'project': 'project-1', 'task': 'stuck-4'})}")
        page.get_by_text("Acknowledge or mute").click()
        page.get_by_label("Why").fill("<b>disk</b> is replaced")
        page.locator("#note-hours").select_option("4")
        page.get_by_role("button", name="Mute").click()
        expect(page.locator(".verdict .note")).to_contain_text("<b>disk</b> is replaced")
        page.locator("#back").click()
        page.goto(f"{view.url}/?q=stuck-4")
        expect(rows(page).first.locator(".note")).to_have_text(re.compile(r"muted until .*: <b>disk</b> is replaced"))
        page.locator(".id").click()
        page.get_by_role("button", name="Withdraw the note").click()
        expect(page.locator(".verdict .note")).to_have_count(0)


def test_a_reader_is_told_on_the_page_that_the_role_is_missing_and_stays_signed_in(browser: Browser, view):
    with opened(browser, view) as page:
        page.goto(f"{view.url}/?{urlencode({'project': 'project-1', 'task': 'stuck-5'})}#token={view.tokens['reader']}")
        page.reload()
        page.get_by_text("Acknowledge or mute").click()
        page.get_by_label("Why").fill("known")
        page.get_by_role("button", name="Acknowledge", exact=True).click()
        expect(page.locator(".noting .bad")).to_contain_text("do not carry the role 'operate'")
        expect(page.locator("#task")).to_be_visible()


def test_without_the_topic_the_view_runs_and_says_why_no_note_can_be_made(broker, tmp_path):
    states = new_state_topic(broker)
    states.put({"project-1/t/MIGRATE_LINUX_FILE": series(now_us())})
    admin = AdminClient(broker.config())
    for future in admin.delete_topics([states.topics.notes.name]).values():
        future.result(LIMIT_S)
    with running_view(broker, states.topics.prefix, tmp_path) as view:
        assert view.shown("/tasks/t")["note"] is None
        refused = sent(view, "PUT", "t", muting(), patient=False)
        assert (refused.status, "taskstream topics create" in refused.json()["error_msg"]) == (503, True)
        wait_until(lambda: states.topics.notes.name in view.shown("/readyz")["checks"]["notes"])

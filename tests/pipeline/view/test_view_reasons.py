"""Why a task has no end: the same words on the page, in the API and on the command line."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, expect

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.state.series import EtaReason
from taskstream.consumer.view.json.eta_reason import ETA_REASON_TEXTS
from tests.consumer.view.views import MB, RunningView, S, new_state_topic, now_us, running_view, series
from tests.pipeline.view.test_view_page import opened, rows

REASONS = [each for each in EtaReason if each not in (EtaReason.NONE, EtaReason.COMPLETE)]
SENTENCE = "10 MB/s over 1 min; the total grows as fast as the copy, by 12 MB/s"


@pytest.fixture(scope="module")
def view(broker: KafkaClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    """One task without an end for each reason, named after it."""
    topic = new_state_topic(broker)
    no_eta = dict.fromkeys(("eta_s", "eta_low_s", "eta_high_s"), np.nan)
    for reason in REASONS:
        columns = no_eta | {"eta_reason": reason, "growth_bps": 12.0 * MB}
        if reason == EtaReason.NEXT_SUBTASK:
            columns |= {"eta_reason": EtaReason.COMPLETE, "progress": 100, "health": 3}
        elif reason == EtaReason.SILENT:
            columns |= {"last_seen": now_us() - 3_600 * S}
        topic.put({f"project-1/{reason.name}/MIGRATE_LINUX_FILE": series(now_us(), **columns)})
    with running_view(broker, topic.topics.prefix, tmp_path_factory.mktemp("view")) as running:
        yield running


def test_a_withheld_end_has_the_same_words_everywhere(view, browser: Browser):
    env = {"TASKSTREAM_TASKS_ENDPOINT": view.url, "TASKSTREAM_TASKS_TOKEN": view.tokens["operator"]}
    listed = CliRunner().invoke(cli, ["tasks", "list"], env=env).stdout
    in_api = {each["task_id"]: each["eta_reason_text"] for each in view.shown("/tasks")["tasks"]}
    with opened(browser, view) as page:
        expect(rows(page)).to_have_count(len(REASONS))
        on_page = {
            row.locator(".id").inner_text(): row.locator(".ends span").first.inner_text() for row in rows(page).all()
        }
    expected = {each.name: ETA_REASON_TEXTS[each] for each in REASONS}
    assert in_api == on_page == expected
    for name, words in expected.items():
        (line,) = [each for each in listed.splitlines() if f" {name} " in each]
        assert f"  {words}  " in line


def test_a_task_that_does_not_converge_is_as_plain_as_a_health(view, browser: Browser):
    env = {"TASKSTREAM_TASKS_ENDPOINT": view.url, "TASKSTREAM_TASKS_TOKEN": view.tokens["operator"]}
    listed = CliRunner().invoke(cli, ["tasks", "list", "--eta-reason", "not_converging"], env=env).stdout.splitlines()
    assert len(listed) == 2
    assert listed[1].startswith("not converging  NOT_CONVERGING")
    assert SENTENCE in listed[1]
    shown = CliRunner().invoke(cli, ["tasks", "show", "NOT_CONVERGING"], env=env).stdout
    assert f"not converging: {SENTENCE}" in shown
    fleet = view.shown("/fleet")
    assert fleet["without_eta_by_reason"]["NOT_CONVERGING"] == 1
    assert sum(fleet["without_eta_by_reason"].values()) == fleet["without_eta"] == len(REASONS)
    with opened(browser, view) as page:
        button = page.locator("button.state[data-health=NOT_CONVERGING]")
        expect(button.locator("strong")).to_have_text("1")
        button.click()
        expect(page).to_have_url(f"{view.url}/?eta_reason=NOT_CONVERGING")
        expect(rows(page)).to_have_count(1)
        expect(rows(page).first.locator("strong")).to_have_text("not converging")
        expect(rows(page).first.locator(".reason")).to_have_text(SENTENCE)
        page.locator("button.state[data-health=SILENT]").click()
        expect(page).to_have_url(f"{view.url}/?health=SILENT")
        page.goto(f"{view.url}/?task=NOT_CONVERGING")
        expect(page.locator(".verdict strong")).to_have_text("not converging")

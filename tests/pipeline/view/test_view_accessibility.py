"""The page under axe in a real Chromium: list, task page and sign-in, light and dark, from phones to wide screens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, series

pytestmark = pytest.mark.slow

GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    topic.put(*fleet(now_us(), 24))
    at = now_us() - 1_000 * S
    silent = series(now_us(), last_seen=at, last_advance=at)
    topic.put({f"project-9/rack-{number:02d}/MIGRATE_LINUX_FILE": silent for number in range(30)})
    return topic


@pytest.fixture
def page(browser: Browser, axe_script: Path) -> Iterator[Page]:
    """A page with axe. The page's policy forbids scripts from elsewhere, so it does not apply here."""
    context = browser.new_context(bypass_csp=True, reduced_motion="reduce")
    context.add_init_script(path=axe_script)
    yield context.new_page()
    context.close()


def grave_findings(page: Page) -> list[str]:
    """What axe finds serious or critical: the rule, and the elements with what is wrong."""
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{each['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1024, "light"), (1440, "dark"), (1920, "light")])
def test_axe_finds_nothing_serious(page, view: RunningView, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(view.url)
    expect(page.locator("#sign-in")).to_be_visible()
    found = {"sign-in": grave_findings(page)}

    page.goto(f"{view.url}/#token={view.tokens['operator']}")
    page.reload()
    expect(page.locator("#rows tr")).to_have_count(25)
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    found["list"] = grave_findings(page)
    for menu in ("#filter-subtask", "#choose-columns", "#saved"):
        page.locator(f"{menu} summary").click()
        found[f"list, {menu}"] = grave_findings(page)
        page.locator(f"{menu} summary").click()
    page.locator("#group").click()
    expect(page.locator("tr.group").first).to_be_visible()
    found["list by project"] = grave_findings(page)
    page.evaluate("document.body.toggleAttribute('data-stale', true)")
    found["list, stale"] = grave_findings(page)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    found["keys"] = grave_findings(page)

    task = view.shown("/tasks?q=-00007")["tasks"][0]
    page.goto(f"{view.url}/?{urlencode({'project': task['project_id'], 'task': task['task_id']})}")
    expect(page.locator(".subtasks tbody").first).to_be_visible()
    found["task"] = grave_findings(page)
    assert {name: findings for name, findings in found.items() if findings} == {}

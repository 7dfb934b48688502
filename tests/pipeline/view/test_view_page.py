"""The page in a real Chromium: what it shows, that it stays true, and that hostile strings stay text."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.fleets import HOSTILE, fleet
from tests.consumer.view.views import MB, RunningView, S, StateTopic, new_state_topic, now_us, running_view, series
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

TASKS = 240


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    topic.put(*fleet(now_us(), TASKS))
    return topic


@pytest.fixture
def page(browser: Browser, view: RunningView) -> Iterator[Page]:
    """A fresh page, signed in as an operator; anything it complains about fails the test."""
    with opened(browser, view) as fresh:
        yield fresh


@contextlib.contextmanager
def opened(browser: Browser, view: RunningView, **options) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
    fresh = context.new_page()
    complaints: list[str] = []
    unanswered: dict[Request, str] = {}
    fresh.on("request", lambda request: unanswered.setdefault(request, request.url))
    for answered in ("requestfinished", "requestfailed"):
        fresh.on(answered, lambda request: unanswered.pop(request, None))
    fresh.on("pageerror", lambda error: complaints.append(str(error)))
    fresh.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
    fresh.goto(f"{view.url}/#token={view.tokens['operator']}")
    try:
        yield fresh
        assert complaints == []
    finally:
        said = "" if fresh.is_closed() else fresh.evaluate("document.querySelector('#problem')?.textContent")
        print(f"the page was at {fresh.url}, its problem: {said!r}, its complaints: {complaints}")
        print(f"unanswered: {list(unanswered.values())}")
        context.close()


def rows(page: Page):
    return page.locator("#rows tr")


def test_the_worst_come_first_and_say_why_and_the_token_leaves_the_address(page, view):
    expect(rows(page)).to_have_count(100)
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    first = rows(page).first
    expect(first.locator("strong")).to_have_text(re.compile("silent|no progress"))
    expect(first.locator(".reason")).to_have_text(re.compile(r"no (report|bytes) for .* \(limit 1 min\)"))
    expect(page).to_have_url(f"{view.url}/")
    expect(page.locator("#where")).to_have_text(f"1 to 100 of {TASKS}")
    moving = page.locator("button[data-health=OK] strong")
    expect(moving).not_to_have_text("0")


def test_nothing_is_fetched_from_elsewhere(browser, view):
    context = browser.new_context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    fresh = context.new_page()
    fresh.goto(f"{view.url}/#token={view.tokens['operator']}")
    expect(rows(fresh)).to_have_count(100)
    context.close()
    assert [url for url in asked if not url.startswith(view.url)] == []


def test_a_change_on_the_topic_shows_in_its_row_at_once(page, states):
    key = "project-1/live-1/MIGRATE_LINUX_FILE"
    states.put({key: series(now_us(), progress=11)})
    page.goto(page.url + "?q=live-1")
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first.locator(".pair span").first).to_have_text("11 %")
    states.put({key: series(now_us(), progress=64, replicatesize=9_000 * MB)})
    expect(rows(page).first.locator(".pair span").first).to_have_text("64 %")
    expect(rows(page).first.locator(".pair span").last).to_have_text("9.00 GB of 12.0 GB")
    states.forget([key])
    expect(page.locator("#none")).to_be_visible()


def test_filters_are_in_the_address_and_the_way_back_undoes_them(page, view):
    expect(rows(page)).to_have_count(100)
    page.locator("button.state[data-health=SLOW]").click()
    expect(page).to_have_url(f"{view.url}/?health=SLOW")
    expect(rows(page)).to_have_count(TASKS // 12)
    assert set(rows(page).locator("strong").all_text_contents()) == {"slow"}
    page.locator("#filter-trend summary").click()
    page.get_by_label("steady").check()
    expect(page.locator("#none")).to_be_visible()
    page.go_back()
    expect(rows(page)).to_have_count(TASKS // 12)
    page.reload()
    expect(rows(page)).to_have_count(TASKS // 12)
    page.get_by_role("button", name="Clear").click()
    expect(rows(page)).to_have_count(100)
    page.get_by_label("Task", exact=True).fill("-00007")
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(f"{view.url}/?q=-00007")


def test_a_column_sorts_both_ways_by_keyboard_too(page, view):
    expect(rows(page)).to_have_count(100)
    page.locator("th.progress button").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{view.url}/?sort=progress")
    expect(page.locator("th.progress")).to_have_attribute("aria-sort", "ascending")
    wait_until(lambda: is_rising(page))  # the rows come after the address and the heading
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{view.url}/?sort=-progress")
    expect(page.locator(".pair span:first-child").first).to_have_text("100 %")


def is_rising(page) -> bool:
    """Whether no task on the page is behind one that stands before it."""
    percents = [int(text.split()[0]) for text in page.locator(".pair span:first-child").all_text_contents()]
    return len(percents) == 100 and percents == sorted(percents)


def test_pages_follow_each_other_and_lose_nobody(page):
    expect(rows(page)).to_have_count(100)
    seen = set(page.locator(".id").all_text_contents())
    for number, count in ((2, 100), (3, TASKS - 200)):
        page.get_by_role("button", name="Next").click()
        expect(page.locator("#where")).to_contain_text(f"{100 * (number - 1) + 1} to")
        expect(rows(page)).to_have_count(count)
        seen |= set(page.locator(".id").all_text_contents())
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    assert len(seen) == TASKS


def test_what_is_below_the_rows_stays_where_it_is_when_they_come_into_sight(page):
    """A row that is not laid out yet has a guessed height: "Next" would move away between the press and the release."""
    expect(rows(page)).to_have_count(100)
    is_laid_out = "rows => rows.every((row) => row.checkVisibility({ contentVisibilityAuto: true }))"
    assert rows(page).evaluate_all(is_laid_out)
    place = "document.querySelector('#next').getBoundingClientRect().top + scrollY"
    before = page.evaluate(place)
    page.get_by_role("button", name="Next").scroll_into_view_if_needed()
    expect(rows(page).last).to_be_in_viewport()
    assert page.evaluate(place) == before


def test_a_request_that_is_never_answered_is_said_and_the_page_goes_on(page):
    expect(rows(page)).to_have_count(100)
    page.clock.install()
    held = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/tasks?*", hold)
    page.reload()
    wait_until(lambda: held or page.wait_for_timeout(20))
    page.clock.fast_forward(31_000)
    expect(page.locator("#problem")).to_have_text("the view has not answered for 30 s; what is shown is older")
    expect(rows(page)).to_have_count(0)
    page.unroute("**/tasks?*")
    expect(rows(page)).to_have_count(100)
    expect(page.locator("#problem")).to_be_hidden()


def test_a_tasks_own_page_shows_its_subtasks_in_time_order_and_hostile_words_as_text(page, view):
    page.goto(f"{view.url}/?q=-00007")
    page.locator(".id").click()
    names = page.locator(".subtasks strong")
    expect(names).to_have_text(["CREATE_CLOUD_SERVER", "SSL_CONFIG", "SYNC_LINUX_FILE"])
    assert page.locator(".trace").last.inner_text().replace("\u202e", "") == HOSTILE.replace("\u202e", "")
    assert page.locator("#task img, #task script").count() == 0
    assert "owned" not in page.title()
    expect(page.locator(".verdict")).to_contain_text("No bytes for")
    expect(page.locator(".plot .bars")).to_have_attribute("d", re.compile("^M"))
    page.locator("#back").click()
    expect(rows(page)).to_have_count(100)


def test_a_hostile_task_id_is_text_everywhere(page, view, states):
    task_id = '"><script>document.title="owned"</script>'
    key = f"project-1/{task_id}/MIGRATE_LINUX_FILE"
    states.put({key: series(now_us(), health=2, last_advance=now_us() - 500 * S)})
    page.goto(f"{view.url}/?{urlencode({'q': task_id})}")
    expect(page.locator(".id")).to_have_text(task_id)
    page.locator(".id").click()
    expect(page.locator("#task h1")).to_have_text(task_id)
    expect(page).to_have_title(f"{task_id} · taskstream")
    assert page.locator("main script").count() == 0
    states.forget([key])
    page.goto(f"{view.url}/?{urlencode({'q': task_id})}")
    expect(page.locator("#none")).to_be_visible()


def test_without_a_token_it_asks_for_one_and_a_wrong_one_is_refused(browser, view):
    context = browser.new_context()
    fresh = context.new_page()
    fresh.goto(view.url)
    fresh.get_by_label("Token").fill("wrong")
    fresh.get_by_role("button", name="Show the tasks").click()
    expect(fresh.locator("#sign-in-problem")).to_contain_text("no valid credentials")
    fresh.get_by_label("Token").fill(view.tokens["reader"])
    fresh.get_by_role("button", name="Show the tasks").click()
    expect(rows(fresh).first).to_be_visible()
    assert set(fresh.locator("td.task bdi").all_text_contents()) == {"project-1"}
    context.close()


def test_a_new_tab_is_signed_in_while_another_one_is_and_all_sign_out_together(page, view):
    expect(rows(page)).to_have_count(100)
    second = page.context.new_page()
    second.goto(view.url)
    expect(rows(second)).to_have_count(100)
    with page.context.expect_page() as opened_tab:
        second.locator("#rows a").first.click(modifiers=["ControlOrMeta"])
    expect(opened_tab.value.locator("#task")).to_be_visible()
    second.locator("#sign-out").click()
    for each in (page, second, opened_tab.value):
        expect(each.locator("#sign-in")).to_be_visible()
    third = page.context.new_page()
    third.goto(view.url)
    expect(third.locator("#sign-in")).to_be_visible()


def test_a_lost_connection_is_told_and_the_page_comes_back_by_itself(browser, broker, states, tmp_path):
    with running_view(broker, states.topics.prefix, tmp_path) as first, opened(browser, first) as page:
        expect(rows(page)).to_have_count(100)
        port = int(first.url.rpartition(":")[2])
        first.process.kill()
        expect(page.locator("#live")).to_have_attribute("data-state", "lost")
        expect(page.get_by_role("button", name="Connect now")).to_be_visible()
        expect(page.locator("body[data-stale] #live-text")).to_have_text(re.compile(r"^as of .*; connection lost"))
        expect(rows(page)).to_have_count(100)
        states.put({"project-1/while-away/MIGRATE_LINUX_FILE": series(now_us(), progress=5, health=2)})
        with running_view(broker, states.topics.prefix, tmp_path, port=port):
            expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=120_000)
            expect(page.locator("body[data-stale]")).to_have_count(0)
            page.get_by_label("Task", exact=True).fill("while-away")
            expect(rows(page)).to_have_count(1)
    states.forget(["project-1/while-away/MIGRATE_LINUX_FILE"])


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_needs_scrolling_sideways(browser, view, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    fresh = context.new_page()
    task = view.shown("/tasks?q=-00007")["tasks"][0]
    own = f"/?{urlencode({'project': task['project_id'], 'task': task['task_id']})}"
    for address in ("/", own):
        fresh.goto(f"{view.url}{address}#token={view.tokens['operator']}")
        expect(fresh.locator("#rows tr, .subtasks tbody").first).to_be_visible()
        assert fresh.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    context.close()

"""The list of the page in a real Chromium: keys, filters of several values, what the address and the browser keep."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, series
from tests.pipeline.view.test_view_page import opened, rows
from tests.pipeline.view.test_view_pages import hide
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
    with opened(browser, view) as fresh:
        expect(rows(fresh)).to_have_count(100)
        yield fresh


def link(page: Page, row: int):
    return rows(page).nth(row).locator(".id")


def words(page: Page) -> set[str]:
    """The healths of the tasks that are shown."""
    return set(rows(page).locator("strong").all_text_contents())


def test_j_and_k_move_from_task_to_task_and_enter_opens_one(page):
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(link(page, 1)).to_be_focused()
    assert link(page, 1).evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(link(page, 0)).to_be_focused()
    task = link(page, 0).text_content()
    page.keyboard.press("Enter")
    expect(page.locator("#task h1")).to_have_text(task)


def test_a_question_mark_lists_the_keys_and_escape_closes_them(page):
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    expect(page.locator("#rows :focus")).to_have_count(0)


def test_keys_that_are_typed_or_with_a_modifier_are_not_taken(page):
    page.keyboard.press("Control+j")
    page.keyboard.press("Alt+?")
    expect(page.locator("#rows :focus")).to_have_count(0)
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#filter-q")).to_be_focused()
    page.keyboard.type("jk?/")
    expect(page.locator("#filter-q")).to_have_value("jk?/")
    expect(page.locator("#keys")).to_be_hidden()


def test_one_filter_shows_all_that_need_somebody_and_the_title_has_their_number(page, view):
    needed = view.shown("/fleet")["needs_attention"]
    expect(page).to_have_title(f"({needed}) taskstream")
    expect(page.locator("#needs-me strong")).to_have_text(str(needed))
    page.locator("#needs-me").click()
    expect(page).to_have_url(f"{view.url}/?attention=needed")
    expect(rows(page)).to_have_count(min(needed, 100))
    assert words(page) == {"silent", "no progress", "slow"}
    page.reload()
    expect(page.locator("#needs-me")).to_have_attribute("aria-pressed", "true")
    expect(rows(page)).to_have_count(min(needed, 100))


def test_the_title_of_a_page_that_nobody_sees_follows_the_number(page, view, states):
    needed = view.shown("/fleet")["needs_attention"]
    expect(page).to_have_title(f"({needed}) taskstream")
    hide(page, hidden=True)
    states.put({"project-1/late/MIGRATE_LINUX_FILE": series(now_us(), last_seen=now_us() - 900 * S)})
    expect(page).to_have_title(f"({needed + 1}) taskstream")
    states.forget(["project-1/late/MIGRATE_LINUX_FILE"])
    wait_until(lambda: view.shown("/fleet")["needs_attention"] == needed)


def test_a_filter_has_several_values_which_are_in_the_address(page, view):
    page.locator("button.state[data-health=SLOW]").click()
    page.locator("button.state[data-health=NO_PROGRESS]").click()
    expect(page).to_have_url(f"{view.url}/?health=SLOW%2CNO_PROGRESS")
    expect(rows(page)).to_have_count(2 * TASKS // 12)
    assert words(page) == {"slow", "no progress"}
    page.locator("#filter-trend summary").click()
    page.get_by_label("slowing").check()
    page.get_by_label("warming").check()
    expect(page.locator("#filter-trend summary")).to_have_text("Trend: 2 of 4")
    page.keyboard.press("Escape")
    expect(page.locator("#filter-trend summary")).to_be_focused()
    expect(page.get_by_label("warming")).to_be_hidden()
    page.locator("#filter-project").fill("project-4, project-3")
    expect(page).to_have_url(re.compile("project=project-4%2Cproject-3"))
    wait_until(lambda: set(page.locator("td.task bdi").all_text_contents()) == {"project-3", "project-4"})


def test_the_page_of_the_list_outlives_a_reload(page):
    page.locator("#next").click()
    expect(page.locator("#where")).to_have_text(f"101 to 200 of {TASKS}")
    second = link(page, 0).text_content()
    page.locator("#next").click()
    expect(page.locator("#where")).to_have_text(f"201 to {TASKS} of {TASKS}")
    page.reload()
    expect(page.locator("#where")).to_have_text(f"201 to {TASKS} of {TASKS}")
    page.locator("#previous").click()
    expect(page.locator("#where")).to_have_text(f"101 to 200 of {TASKS}")
    expect(link(page, 0)).to_have_text(second)
    page.go_back()
    expect(page.locator("#where")).to_have_text(f"201 to {TASKS} of {TASKS}")


def test_columns_are_chosen_and_kept_in_the_address(page):
    page.locator("#choose-columns summary").click()
    page.get_by_label("last 30 min").uncheck()
    page.get_by_label("subtask", exact=True).uncheck()
    expect(page).to_have_url(re.compile(r"\?columns=health%2Ctask%2Cprogress%2Crate%2Ctrend%2Cends$"))
    page.reload()
    expect(page.locator("#choose-columns summary")).to_have_text("Columns: 5 of 7")
    expect(page.get_by_role("columnheader", name="Progress")).to_be_visible()
    expect(page.locator("th.minutes")).to_be_hidden()
    expect(rows(page).first.locator(".subtask")).to_be_hidden()


def test_tasks_are_grouped_by_project(page, view):
    page.locator("#needs-me").click()
    page.get_by_role("button", name="By project").click()
    expect(page).to_have_url(f"{view.url}/?attention=needed&group=project")
    expect(page.locator("tr.group")).to_have_text([f"Project project-{number}" for number in (1, 3, 4)])
    shown = page.evaluate(
        "[...document.querySelectorAll('#rows tr')].map((row) => row.querySelector('bdi').textContent)"
    )
    assert shown == sorted(shown)
    page.locator("tr.group a").nth(1).click()
    expect(page).to_have_url(re.compile("project=project-3"))
    wait_until(lambda: set(page.locator("td.task bdi").all_text_contents()) == {"project-3"})


def test_filters_are_saved_under_a_name_and_deleted(page, view):
    page.locator("#needs-me").click()
    page.locator("#saved summary").click()
    page.get_by_label("Save these filters as").fill("<b>night</b>")
    page.keyboard.press("Enter")
    expect(page.locator("#saved-filters a")).to_have_text("<b>night</b>")
    page.goto(view.url)
    page.locator("#saved summary").click()
    page.locator("#saved-filters a").click()
    expect(page).to_have_url(f"{view.url}/?attention=needed")
    page.locator("#saved summary").click()
    page.get_by_role("button", name="Delete <b>night</b>").click()
    expect(page.locator("#saved-filters li")).to_have_count(0)
    expect(page.locator("#save")).to_be_visible()


def test_rows_are_marked_whose_health_changed_since_somebody_last_looked(browser, view):
    looked = {"sinceMs": None, "untilMs": now_us() // 1000 - 900_000}
    with opened(browser, view) as page:
        page.evaluate("text => localStorage.setItem('taskstream-looked', text)", json.dumps(looked))
        page.goto(f"{view.url}/?health=NO_PROGRESS")
        expect(rows(page)).to_have_count(TASKS // 12)
        tasks = view.shown("/tasks?health=NO_PROGRESS")["tasks"]
        news = {each["task_id"] for each in tasks if each["health_since_ms"] > looked["untilMs"]}
        assert 0 < len(news) < len(tasks)
        expect(page.locator("#news-text")).to_contain_text(f"{len(news)} of these {len(tasks)} tasks")
        page.reload()
        expect(page.locator("#news-text")).to_contain_text(f"{len(news)} of these {len(tasks)} tasks")
        marked = page.locator("#rows tr", has=page.locator(".news", has_text="new at"))
        assert set(marked.locator(".id").all_text_contents()) == news
        page.get_by_role("button", name="Mark as seen").click()
        expect(marked).to_have_count(0)
        expect(page.locator("#news-text")).to_contain_text("None of these tasks")


def test_rows_stay_where_they_are_while_somebody_moves_through_them(page, view, states):
    page.keyboard.press("j")
    first = link(page, 0).text_content()
    long_ago = now_us() - 40_000 * S
    states.put({"project-1/oldest/MIGRATE_LINUX_FILE": series(now_us(), last_seen=long_ago, last_advance=long_ago)})

    def is_waiting() -> bool:
        page.keyboard.press("k")  # somebody who is still there
        return page.locator("#waiting").is_visible()

    wait_until(is_waiting)
    expect(page.locator("#waiting")).to_contain_text("wait until you leave the table")
    expect(link(page, 0)).to_have_text(first)
    page.keyboard.press("Escape")
    expect(link(page, 0)).to_have_text("oldest")
    expect(page.locator("#waiting")).to_be_hidden()
    states.forget(["project-1/oldest/MIGRATE_LINUX_FILE"])
    wait_until(lambda: view.get("/tasks/oldest").status == 404)


def test_a_mass_silence_is_one_row_that_opens(page, view, states):
    at = now_us() - 1_000 * S
    keys = [f"project-9/rack-{number:02d}/MIGRATE_LINUX_FILE" for number in range(30)]
    states.put({key: series(now_us(), last_seen=at, last_advance=at) for key in keys})
    expect(page.locator("tr.fold")).to_contain_text("30 tasks of project project-9 fell silent together")
    expect(rows(page)).to_have_count(101)
    expect(page.locator("#where")).to_contain_text("and 30 that fell silent together")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{view.url}/?health=SILENT&project=project-9")
    expect(rows(page)).to_have_count(30)
    page.go_back()
    expect(page.locator("tr.fold")).to_be_visible()
    states.forget(keys)
    expect(page.locator("tr.fold")).to_have_count(0)


def test_rows_stay_where_they_are_under_a_pointer_that_moves(page, view, states):
    key = "project-1/older/MIGRATE_LINUX_FILE"
    first = link(page, 0).text_content()
    long_ago = now_us() - 50_000 * S
    places = itertools.cycle(range(5))

    def is_waiting() -> bool:
        box = rows(page).first.bounding_box()
        page.mouse.move(box["x"] + 200 + next(places), box["y"] + 10)
        return page.locator("#waiting").is_visible()

    is_waiting()
    is_waiting()
    states.put({key: series(now_us(), last_seen=long_ago, last_advance=long_ago)})
    wait_until(is_waiting)
    expect(link(page, 0)).to_have_text(first)
    page.mouse.move(5, 5)
    expect(link(page, 0)).to_have_text("older")
    states.forget([key])
    wait_until(lambda: view.get("/tasks/older").status == 404)

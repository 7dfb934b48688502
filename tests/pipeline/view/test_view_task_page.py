"""The page of one task in a real Chromium: what is wrong and what to do, stages, chart, events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.fleets import done
from tests.consumer.view.views import (
    MB,
    RunningView,
    S,
    StateTopic,
    new_state_topic,
    now_us,
    running_view,
    series,
    signal,
)
from tests.pipeline.view.test_view_page import opened

COPY = "MIGRATE_LINUX_BLOCK"
KOLKATA = timezone(timedelta(hours=5, minutes=30))


def times_of_silence(now: int) -> Iterator[dict]:
    for number in range(14):
        at = now - (3_000 - number * 100) * S
        yield signal(at, task="project-1/web-1", subtask_name=COPY)
        yield signal(at + 60 * S, "RESUMED", task="project-1/web-1", subtask_name=COPY, before="SILENT", after="OK")


def between(zone: timezone) -> str:
    """What the page says of when `times_of_silence` were; a time has its day unless that is today."""

    def moment(us: int) -> str:
        then, today = (datetime.fromtimestamp(each / S, zone) for each in (us, now_us()))
        return f"{then:%H:%M}" if then.date() == today.date() else f"{then:%b} {then.day} {then:%H:%M}"

    times = [each["raised_at"] for each in times_of_silence(now_us())]
    return f"between {moment(min(times))} and {moment(max(times))}"


@pytest.fixture(scope="module")
def view(broker: KafkaClient, states: StateTopic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    """One that knows labels of web-1."""
    folder = tmp_path_factory.mktemp("view")
    labels = folder / "labels.csv"
    labels.write_text("project_id,task_id,host,owner\nproject-1,web-1,db 7,Zoë <team>\n", "utf-8")
    links = [
        "--link",
        "logs=https://logs.example/?t={task_id}&h={host}",
        "--link",
        "runbook=https://wiki.example/{task_id}",
    ]
    with running_view(broker, states.topics.prefix, folder, "--labels", str(labels), *links) as running:
        yield running


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    now = now_us()
    began, seen = now - 5_400 * S, now - 400 * S
    ended = {}
    for number in range(12):
        for name, begin, end in (
            ("SSL_CONFIG", 5_000, 4_900),
            (COPY, 4_800, 3_000),
            ("CONFIGURE_LINUX_BLOCK", 2_900, 2_600),
        ):
            ended[f"project-1/past-{number}/{name}"] = done(now, now - begin * S, now - end * S)
    copy = series(
        now,
        first_seen=began + 90 * S,
        rated_from=began + 90 * S,
        last_seen=seen,
        last_advance=seen,
        open_minute=seen // (60 * S) * 60 * S,
        minute_bytes=[600 * MB] * 10 + [0] * 5 + [300 * MB] * 15,
        migrate_speed=96.0,
    )
    topic.put(
        {
            **ended,
            "project-1/web-1/SSL_CONFIG": done(now, began, began + 80 * S),
            f"project-1/web-1/{COPY}": copy,
            f"project-1/web-2/{COPY}": copy,
        }
    )
    later = {"eta": now + 3_600 * S, "eta_before": now + 2_100 * S, "before": "OK", "after": "OK"}
    moved = signal(now - 1_000 * S, "ETA_MOVED", task="project-1/web-1", subtask_name=COPY, **later)
    topic.tell(*times_of_silence(now), moved, signal(now - 340 * S, task="project-1/web-1", subtask_name=COPY))
    return topic


@pytest.fixture
def page(browser: Browser, view: RunningView) -> Iterator[Page]:
    with page_of_web_1(browser, view, "Asia/Kolkata") as fresh:
        yield fresh


@contextmanager
def page_of_web_1(browser: Browser, view: RunningView, zone: str) -> Iterator[Page]:
    with opened(browser, view, timezone_id=zone) as fresh:
        fresh.goto(f"{view.url}/?{urlencode({'project': 'project-1', 'task': 'web-1'})}")
        expect(fresh.locator(".stages li").first).to_be_visible()
        yield fresh


def test_it_says_first_what_is_wrong_since_when_why_and_what_to_do(page):
    said = page.locator(".verdict p")
    expect(said.nth(0)).to_have_text(re.compile(r"silentsince .* \(6 min 40 s\)"))
    expect(said.nth(1)).to_have_text("No report for 6 min 40 s (limit 1 min).")
    expect(said.nth(2)).to_contain_text("To do: Check that the agent runs")
    order = page.locator("#task").evaluate("task => [...task.children].map((each) => each.className)")
    places = [order.index(name) for name in ("verdict", "stages", "chart", "signals")]
    assert places == sorted(places)


def test_the_stages_are_done_running_or_to_come_each_with_its_time(page):
    stages = page.locator(".stages li")
    expect(stages).to_have_count(3)
    assert [each.get_attribute("data-stage") for each in stages.all()] == ["done", "running", "ahead"]
    expect(stages.nth(0)).to_contain_text("took 1 min 20 s")
    expect(stages.nth(1)).to_contain_text("50 %, for 1 h 28 min")
    expect(stages.nth(2)).to_contain_text("to come, about 5 min")


def test_the_chart_ends_now_and_shades_the_stall_and_the_silence(page):
    expect(page.locator(".plot text").last).to_have_text("now")
    # In one turn: the page draws the chart anew every second.
    edge, width = page.evaluate(
        """() => {
            const plot = document.querySelector(".plot"), box = plot.querySelector(".silence").getBBox();
            return [box.x + box.width, plot.viewBox.baseVal.width];
        }"""
    )
    assert edge == pytest.approx(width - 8, abs=1)
    expect(page.locator(".plot .stall")).to_have_count(1)
    expect(page.locator(".legend")).to_contain_text("reported by the agent: 12.0 MB/s")


def test_the_mean_is_drawn_only_where_ten_minutes_were_measured(page):
    page.locator("#chart").focus()
    # In one turn, as above.
    bars, mean, silence = page.evaluate(
        """() => ["bars", "mean", "silence"].map((name) => {
            const box = document.querySelector(`.plot .${name}`).getBBox();
            return [box.x, box.x + box.width];
        })"""
    )
    assert bars[0] < mean[0]
    assert mean[1] <= silence[0] + 1


def test_a_cursor_reads_the_rate_with_its_unit_and_the_time_with_its_zone(page):
    page.locator("#chart").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    with page.expect_response(lambda answer: "/tasks/web-1" in answer.url):
        pass  # the chart is drawn anew, and the cursor stays
    expect(page.locator(".readout")).to_have_text(
        re.compile(r"^.*Asia/Calcutta \(GMT\+5:30\): 5.00 MB/s, 300 MB in 1 min$")
    )
    page.locator("#zone").click()
    expect(page.locator("#zone")).to_have_text("times: UTC")
    expect(page.locator(".legend")).to_contain_text("times: UTC")


def test_events_are_newest_first_repetitions_folded_and_bad_news_never_green(page):
    events = page.locator(".signals ol > li")
    expect(events.nth(0)).to_contain_text("silent")
    expect(events.nth(1)).to_contain_text("end moved")
    expect(events.nth(1)).to_have_attribute("data-health", "SLOW")
    expect(events.nth(2)).to_contain_text("silent and back 14 times")
    expect(events.nth(2)).to_contain_text(between(KOLKATA))
    expect(events.nth(3)).to_contain_text("began")
    events.nth(2).get_by_text("each").click()
    expect(events.nth(2).locator("li")).to_have_count(14)
    page.get_by_role("button", name=re.compile("^expected end")).click()
    expect(events).to_have_count(1)


def test_a_time_of_yesterday_has_its_day(browser, view):
    """In the zone in which it is between midnight and one, so that most of the fifty minutes are of yesterday."""
    hours = -datetime.fromtimestamp(now_us() / S, UTC).hour % 24
    hours -= 24 if hours > 12 else 0
    with page_of_web_1(browser, view, f"Etc/GMT{-hours:+d}") as page:  # such a name counts to the west
        expect(page.locator(".signals ol > li").nth(2)).to_contain_text(between(timezone(timedelta(hours=hours))))


def test_an_exact_value_can_be_copied(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name=re.compile("^copy copied")).click()
    expect(page.get_by_role("button", name=re.compile("^copy copied"))).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{6_000 * MB} of {12_000 * MB} B"


def test_labels_and_links_of_the_task_are_shown_and_of_another_only_what_is_known(page, view):
    about = page.get_by_role("region", name="Labels and links")
    expect(about.locator("dt")).to_have_text(["host", "owner"])
    expect(about.locator("dd bdi")).to_have_text(["db 7", "Zoë <team>"])
    expect(about.get_by_role("link", name="logs")).to_have_attribute("href", "https://logs.example/?t=web-1&h=db%207")
    shown = view.shown("/tasks/web-2?project=project-1")
    assert (shown["labels"], shown["links"]) == ({}, {"runbook": "https://wiki.example/web-2"})


def test_a_selection_outlives_an_update(page, view, states):
    page.goto(f"{view.url}/?{urlencode({'project': 'project-1', 'task': 'web-2'})}")
    expect(page.locator("#task h1")).to_have_text("web-2")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#task h1'))")
    with page.expect_response(lambda answer: "/tasks/web-2" in answer.url and b"RESET" in answer.body()):
        states.tell(signal(now_us(), "RESET", task="project-1/web-2", subtask_name=COPY))
    assert page.evaluate("getSelection().toString()") == "web-2"
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator(".signals ol > li").first).to_contain_text("reset")


def test_an_unknown_task_says_so(page, view):
    page.goto(f"{view.url}/?task=nobody")
    expect(page.locator(".verdict")).to_contain_text("unknown task")
    expect(page.locator(".verdict")).to_contain_text("was ever reported")

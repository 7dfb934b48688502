"""The rates of a task over days, read from the rates topic on a real broker."""

from __future__ import annotations

import itertools
import json
import re
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Route, expect

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.history.rate_history import RateHistory
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.ids import TableIds
from tests.consumer.view.views import MB, S, StateTopic, new_state_topic, now_us, series
from tests.pipeline.streams import producer
from tests.pipeline.view.test_view_page import opened
from tests.waiting import LIMIT_S

HOURS = 30
COPY = "MIGRATE_LINUX_FILE"
MINUTE = 60 * S
FIRST = now_us() // MINUTE * MINUTE - HOURS * 60 * MINUTE


def window(task: str, minute: int) -> tuple[str, bytes, int]:
    """Key, value and timestamp of a closed minute; each hour is faster by a megabyte a minute."""
    begin = FIRST + minute * MINUTE
    moved = (1 + minute // 60) * MB
    record = {
        "project_id": "project-1",
        "task_id": task,
        "subtask_name": COPY,
        "window_start": begin,
        "minutes": 1,
        "width_s": 60.0,
        "bytes": moved,
        "rate_bps": moved / 60,
        "complete": True,
        "progress": 50,
        "replicatesize": minute * MB,
        "totalsize": 12_000 * MB,
        "closed_at": begin + MINUTE,
    }
    value = RecordWriter(TableIds(), newest("RateWindow")).write(record)
    return f"project-1/{task}/{COPY}", value, (begin + MINUTE) // 1000


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    topic.put({f"project-1/{task}/{COPY}": series(now_us()) for task in ("one", "two")})
    sender = producer(broker.bootstrap_servers, partitioner="murmur2_random")
    for minute in range(HOURS * 60):
        for task in ("one", "two") if minute % 3 == 0 else ("one",):
            key, value, timestamp = window(task, minute)
            sender.produce(topic.topics.rates.name, value, key, timestamp=timestamp)
        sender.poll(0)
    assert sender.flush(LIMIT_S) == 0
    return topic


def test_a_day_in_hours_has_the_bytes_of_this_task_and_no_other(view):
    found = view.shown("/tasks/one/rates?from=24h&step=1h")
    whole = [each for each in found["points"] if each["measured_s"] == 3_600]
    assert len(whole) >= 23
    assert found["is_whole"]
    for earlier, later in itertools.pairwise(whole):
        assert 0 <= later["bytes"] - earlier["bytes"] <= 60 * MB
    assert sum(each["bytes"] for each in found["points"]) == pytest.approx(
        sum((1 + minute // 60) * MB for minute in range(6 * 60, HOURS * 60)), rel=0.01
    )
    (one,) = {each["rate_bps"] == each["bytes"] / each["measured_s"] for each in found["points"]}
    assert one


def test_a_gap_has_no_points_and_a_rate_is_by_the_time_that_was_measured(view):
    found = view.shown("/tasks/two/rates?from=1h&step=60")
    assert all(each["measured_s"] == 60 for each in found["points"])
    assert 18 <= len(found["points"]) <= 21


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=@/etc/passwd", "from"),
        ("from=soon", "from"),
        ("from=earliest", "from"),
        ("step=1s", "at least 60 s"),
        ("from=7d&step=60", "more than 2000 points"),
        ("from=1h&to=2h", "before to"),
    ],
)
def test_a_range_that_cannot_be_is_refused(view, query, said):
    refused = view.get(f"/tasks/one/rates?{query}")
    assert refused.status == 400
    assert said in refused.json()["error_msg"]


def test_another_project_sees_nothing(view):
    assert view.get("/tasks/one/rates", by="other").status == 404


def test_the_oldest_are_left_out_when_there_are_too_many(broker, states):
    history = RateHistory(broker.config(), states.topics.rates.name, TableIds(), most=100)
    found = history.read([f"project-1/one/{COPY}"], FIRST, now_us(), 60 * MINUTE)
    assert not found.is_whole
    assert found.records <= 100
    assert found.points[-1].end_us > now_us() - 120 * MINUTE


def test_the_command_line_prints_a_line_for_each_hour(view):
    env = {"TASKSTREAM_TASKS_ENDPOINT": view.url, "TASKSTREAM_TASKS_TOKEN": view.tokens["reader"]}
    printed = CliRunner().invoke(cli, ["tasks", "show", "one", "--history", "24h"], env=env)
    assert printed.exit_code == 0, printed.output
    assert 24 <= len(printed.stdout.splitlines()) <= 27
    shown = CliRunner().invoke(cli, ["tasks", "show", "one", "--history", "2h", "-o", "json"], env=env)
    assert json.loads(shown.stdout)["step_s"] == 60


def test_the_page_shows_a_day_and_a_week_by_their_addresses(browser: Browser, view):
    with opened(browser, view) as page:
        page.goto(f"{view.url}/?{urlencode({'project': 'project-1', 'task': 'one'})}")
        page.get_by_role("link", name="24 hours").click()
        expect(page).to_have_url(re.compile("range=day"))
        expect(page.locator(".plot .bars")).to_have_attribute("d", re.compile("^M"))
        expect(page.locator(".legend")).to_contain_text("observed, per 10 min")
        page.get_by_role("link", name="7 days").click()
        expect(page.locator(".legend")).to_contain_text("observed, per 1 h")
        page.locator("#chart").focus()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".readout")).to_contain_text("of 12.0 GB")
        page.reload()
        expect(page.locator(".legend")).to_contain_text("observed, per 1 h")


def test_past_rates_that_cannot_be_read_for_a_while_are_asked_for_until_they_come(browser: Browser, view):
    refusing = [True]

    def answer(route: Route) -> None:
        if refusing:
            route.fulfill(status=503, json={"error_code": "TASKSTREAM.0503", "error_msg": "no leader"})
        else:
            route.continue_()

    with opened(browser, view) as page:
        page.route("**/rates?*", answer)
        page.goto(f"{view.url}/?{urlencode({'project': 'project-1', 'task': 'one', 'range': 'day'})}")
        expect(page.get_by_text("no leader; asking again")).to_be_visible()
        refusing.clear()
        expect(page.locator(".legend")).to_contain_text("observed, per 10 min")
        expect(page.get_by_text("no leader")).to_have_count(0)


@pytest.mark.parametrize(
    ("address", "asked", "link", "leads_to"),
    [
        ({"project": "project-1", "task": "one"}, "/tasks/one?", "24 hours", "range=day"),
        ({"page": "report"}, "/report?", "one", "task=one"),
    ],
    ids=["task", "report"],
)
def test_a_click_is_not_lost_where_the_page_is_drawn_anew_while_the_button_is_down(
    browser: Browser, view, address, asked, link, leads_to
):
    with opened(browser, view) as page:
        page.goto(f"{view.url}/?{urlencode(address)}")
        page.get_by_role("link", name=link, exact=True).hover()
        page.mouse.down()
        with page.expect_response(lambda response: asked in response.url):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # which asks for what is shown
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        page.mouse.up()
        expect(page).to_have_url(re.compile(leads_to))

"""The report on a running view: GET /report, `taskstream report` in its formats, and the page in a real Chromium."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode

import numpy as np
import pytest
from click.testing import CliRunner, Result
from playwright.sync_api import Browser, Page, expect

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.state.series import Health
from tests.consumer.view.fleets import HOSTILE, done
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, running_view, series
from tests.pipeline.view.test_view_page import opened

COPY, CLOSE = "MIGRATE_LINUX_FILE", "CONFIGURE_LINUX"
HOUR_S = 3_600


def stopped(minutes_ago: int) -> np.ndarray:
    at = now_us() - minutes_ago * 60 * S
    return series(now_us(), health=int(Health.NO_PROGRESS), health_since=at, last_advance=at, eta_s=np.nan)


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    """project-1: eight copies, three that stopped together, one complete; project-2: one with a hostile name."""
    topic = new_state_topic(broker)
    now = now_us()
    eta = {"eta_s": 1_800.0, "eta_low_s": 1_500.0, "eta_high_s": 2_160.0, "last_seen": now}
    rows = {f"project-1/copy-{at}/{COPY}": series(now, **eta) for at in range(7)}
    late = {"eta_s": 7_200.0, "eta_low_s": 6_000.0, "eta_high_s": 8_640.0, "last_seen": now}
    rows[f"project-1/late/{COPY}"] = series(now, **late)
    rows |= {f"project-1/stuck-{at}/{COPY}": stopped(130 + at) for at in range(3)}
    rows[f"project-1/ended/{CLOSE}"] = done(now, now - 2_000 * S, now - 1_000 * S)
    rows[f"project-2/{HOSTILE.replace('/', '|')}/{COPY}"] = series(now, **eta)
    rows[f"=cmd()/formula/{COPY}"] = series(now, **eta)
    topic.put(rows)
    return topic


@pytest.fixture(scope="module")
def view(broker: KafkaClient, states: StateTopic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningView]:
    """One that knows on which host the tasks are that stand still."""
    folder = tmp_path_factory.mktemp("view")
    labels = folder / "labels.csv"
    lines = [f"project-1,stuck-{at},esx-{at // 2}" for at in range(3)]
    labels.write_text("\n".join(["project_id,task_id,host", *lines, ""]), "utf-8")
    with running_view(broker, states.topics.prefix, folder, "--labels", str(labels)) as running:
        yield running


def by_text(seconds: int) -> str:
    return datetime.fromtimestamp(now_us() / 1e6 + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run(view: RunningView, *arguments: str, whose: str = "operator") -> Result:
    env = {"TASKSTREAM_TASKS_ENDPOINT": view.url, "TASKSTREAM_TASKS_TOKEN": view.tokens[whose]}
    return CliRunner().invoke(cli, ["report", *arguments], env=env)


def test_the_api_says_what_is_done_and_what_ends_by_a_time(view):
    found = view.shown(f"/report?{urlencode({'project': 'project-1', 'by': by_text(HOUR_S)})}")
    assert (found["by_ms"] - found["now_ms"]) // 1000 in (HOUR_S - 1, HOUR_S)
    (project,) = found["projects"]
    assert project["project_id"] == "project-1"
    assert (project["tasks"], project["health"]["NO_PROGRESS"], project["health"]["COMPLETE"]) == (12, 3, 1)
    ended = project["ended_by"]
    assert (ended["complete"], ended["foretold"], ended["unknown"]) == (1, 8, 3)
    assert ended["expected"] == pytest.approx(8.0, abs=0.05)  # seven that end in half an hour; the late one does not
    assert (ended["low"], ended["high"]) == (8, 8)
    assert found["slowest"][0]["task_id"] == "late"
    assert found["slowest"][0]["chance"] == pytest.approx(0.0, abs=0.01)
    assert [each["task_id"] for each in found["standing"]] == ["stuck-2", "stuck-1", "stuck-0"]
    (stop,) = found["stopped_together"]
    assert stop["labels"] == [{"label": "host", "value": "esx-0", "tasks": 2}]
    assert (stop["tasks"], stop["silent"], stop["projects"]) == (3, 0, [{"project_id": "project-1", "tasks": 3}])


def test_a_reader_has_the_own_project_alone_and_an_agent_none(view):
    own = view.shown("/report?by=8h", by="reader")
    assert [each["project_id"] for each in own["projects"]] == ["project-1"]
    assert own["total"]["tasks"] == own["projects"][0]["tasks"]
    assert view.get("/report?project=project-1", by="other").status == 400
    assert view.get("/report", by="agent").status == 403
    assert view.get("/report", by=None).status == 401
    assert {each["project_id"] for each in view.shown("/report")["projects"]} == {"project-1", "project-2", "=cmd()"}


@pytest.mark.parametrize("by", ["yesterday", "2020-01-01", "400d", "25:00"])
def test_a_time_that_is_none_or_past_is_refused_with_the_right_forms(view, by):
    answer = view.get(f"/report?{urlencode({'by': by})}")
    assert answer.status == 400
    assert "06:00" in answer.json()["error_msg"]
    assert by in answer.json()["error_msg"]
    refused = run(view, "--by", by)
    assert refused.exit_code == 2
    assert by in refused.stderr


def test_markdown_has_the_sentences_and_the_tables(view):
    text = run(view, "--project", "project-1", "--by", by_text(HOUR_S)).stdout
    assert text.startswith("# Migration report of project project-1, ")
    assert re.search(r"1 of 12 tasks are complete\. Ended by \S+ \S+: 8 \(expected 8\.0\); 3 have no", text)
    assert "3 have no foreseeable end" in text
    assert "## The slowest: those that end last" in text
    assert "| late | project-1 |" in text
    assert "## Standing still: 3" in text
    assert re.search(r"3 tasks stopped within five minutes, .*host esx-0 2", text)


def test_names_stay_text_in_every_document(view):
    markdown = run(view).stdout
    assert not re.search(r"(?<!\\)<(img|script)", markdown)
    page = run(view, "-o", "html").stdout
    tags: list[str] = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert {"table", "tr", "td", "h2"} <= set(tags)
    assert not {"img", "script"} & set(tags)
    assert "@media print" in page
    rows = list(csv.DictReader(io.StringIO(run(view, "-o", "csv").stdout)))
    assert {each["project_id"] for each in rows} == {"project-1", "project-2", "'=cmd()"}
    (own,) = (each for each in rows if each["project_id"] == "project-1")
    assert (own["tasks"], own["no_progress"], own["complete"], own["unknown"]) == ("12", "3", "1", "3")


def test_json_is_the_response_of_the_api(view):
    found = json.loads(run(view, "-o", "json", whose="reader").stdout)
    assert found == view.shown("/report", by="reader")


def shown_report(page: Page, view: RunningView, **parameters: str) -> None:
    page.goto(f"{view.url}/?{urlencode({'page': 'report', **parameters})}")
    expect(page.locator("#report-body table").first).to_be_visible()


def test_the_page_shows_the_report_and_its_form_changes_it(browser: Browser, view: RunningView):
    with opened(browser, view, timezone_id="UTC") as page:
        page.get_by_role("link", name="Report").click()
        expect(page.locator("#report h1")).to_have_text("Migration report")
        expect(page.locator("#live-text")).to_have_text("live, every 4 s")
        projects = page.locator("#report-body section").first.locator("tbody tr")
        expect(projects).to_have_count(3)
        page.get_by_label("Project", exact=True).last.fill("project-1")
        page.get_by_label("Ended by").fill(by_text(HOUR_S))
        page.get_by_role("button", name="Show", exact=True).click()
        expect(projects).to_have_count(1)
        expect(page.locator(".report-facts")).to_contain_text("8 of 12")
        expect(page.locator("#report-body")).to_contain_text("3 tasks stopped together")
        expect(page.locator("#report-body")).to_contain_text("host esx-0 2")
        page.get_by_role("link", name="late").click()
        expect(page.locator("h1:visible")).to_have_text("late")
        page.go_back()
        expect(projects).to_have_count(1)
        page.locator(".name").click()
        expect(page.locator("#rows tr").first).to_be_visible()
        expect(page.locator("#live-text")).to_have_text("live")


def test_a_time_that_the_view_refuses_is_a_sentence_on_the_page(browser: Browser, view: RunningView):
    with opened(browser, view) as page:
        page.goto(f"{view.url}/?page=report&by=yesterday")
        expect(page.locator("#problem")).to_contain_text("'yesterday'")


def test_hostile_names_stay_text_on_the_page(browser: Browser, view: RunningView):
    with opened(browser, view) as page:
        shown_report(page, view, project="project-2")
        expect(page.locator("#report-body")).to_contain_text("<img src=x onerror=")
        assert page.locator("#report-body img, #report-body script").count() == 0
        expect(page).to_have_title("Report · taskstream")


@pytest.mark.parametrize("width", [390, 1024, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_width_and_prints_without_its_controls(browser: Browser, view: RunningView, width, scheme):
    with opened(browser, view, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": 900})
        shown_report(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.emulate_media(media="print", color_scheme=scheme)
        expect(page.locator("header")).to_be_hidden()
        expect(page.locator("#report-form")).to_be_hidden()
        expect(page.locator("#report-body table").first).to_be_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"

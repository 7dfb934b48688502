"""A link with a code signs a browser in once, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.sign_in_codes import SignInCodes
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import RunningView, StateTopic, new_state_topic, now_us, running_view


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    topic.put(*fleet(now_us(), 3))
    return topic


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("codes")


@pytest.fixture(scope="module")
def view(broker: KafkaClient, states: StateTopic, codes: Path, tmp_path_factory) -> Iterator[RunningView]:
    folder = tmp_path_factory.mktemp("view")
    with running_view(broker, states.topics.prefix, folder, "--sign-in-codes", str(codes)) as running:
        yield running


def test_the_first_who_opens_the_link_is_signed_in_and_the_second_is_told_why_not(browser: Browser, view, codes):
    link = f"{view.url}/#code={SignInCodes(codes).issue(view.tokens['operator'])}"
    first, second = browser.new_context(), browser.new_context()
    try:
        page = first.new_page()
        page.goto(link)
        expect(page.locator("#rows tr").first).to_be_visible()
        expect(page).to_have_url(f"{view.url}/")
        late = second.new_page()
        late.goto(link)
        expect(late.locator("#sign-in-problem")).to_contain_text("this link was used, or is older than ten minutes")
        expect(late.locator("#sign-in")).to_be_visible()
        assert late.url == f"{view.url}/"
    finally:
        first.close()
        second.close()


def test_a_code_gives_a_token_that_the_view_accepts(view, codes):
    code = SignInCodes(codes).issue(view.tokens["reader"])
    answer = view.http.request("POST", f"{view.url}/sign-in", body=code, retries=False)
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.json() == {"token": view.tokens["reader"]}
    again = view.http.request("POST", f"{view.url}/sign-in", body=code, retries=False)
    assert (again.status, again.json()["error_code"]) == (401, "APIGW.0301")


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [("GET", None, 405), ("POST", b"", 401), ("POST", b"\xff\x00", 401), ("POST", b"x" * 257, 413)],
)
def test_what_is_no_code_is_refused(view, method, body, status):
    answer = view.http.request(method, f"{view.url}/sign-in", body=body, retries=False)
    assert answer.status == status, answer.data
    assert "error_msg" in answer.json()

"""People sign in to a running view with a real provider: in a real Chromium, and with what their role allows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.ports import free_port
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import RunningView, asked_again, new_state_topic, now_us, running_view
from tests.oidc.browser import consent, parameters
from tests.oidc.provider import CLIENT_ID, CLIENT_SECRET, OpenIDProvider
from tests.private_files import write_private
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDProvider]:
    """For the browser it is another site than the view."""
    made = OpenIDProvider(host="localhost")
    made.people = {
        "ada": {"groups": ["admins"], "preferred_username": "ada.l"},
        "ben": {"groups": ["team"], "preferred_username": "ben"},
    }
    made.port = free_port()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def view(broker: KafkaClient, provider: OpenIDProvider, tmp_path_factory) -> Iterator[RunningView]:
    """It starts, and becomes ready, while nobody listens at the provider's address."""
    folder = tmp_path_factory.mktemp("view")
    topic = new_state_topic(broker)
    topic.put(*fleet(now_us(), 40))
    secret = write_private(folder / "client-secret", CLIENT_SECRET)
    port = free_port()
    options = {
        "--oidc-issuer": provider.issuer,
        "--oidc-client-id": CLIENT_ID,
        "--oidc-client-secret-file": str(secret),
        "--oidc-name": "Provider",
    }
    roles = ("--oidc-role", "admins=operate", "--oidc-role", "team=read:project-1")
    given = [word for option in options.items() for word in option]
    with running_view(broker, topic.topics.prefix, folder, *given, *roles, port=port, stopped_clock=False) as running:
        down = running.get("/oidc/start", by=None)
        assert (down.status, running.get("/tasks", by="operator").status) == (503, 200)
        assert "does not respond" in down.json()["error_msg"]
        provider.client.redirect_uri = f"{running.url}/oidc/callback"
        provider.start()
        wait_until(lambda: begun(running).status == 303)
        yield running


def begun(view: RunningView) -> Any:
    return view.get("/oidc/start?to=%3Fq%3Da", by=None)


@dataclass
class SignedIn:
    """Somebody with a session, and no browser."""

    view: RunningView
    cookie: str
    callback: str

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = {"Cookie": self.cookie, "Origin": self.view.url}
        sent = None if body is None else json.dumps(body)
        return asked_again(
            lambda: self.view.http.request(method, self.view.url + path, headers=headers, body=sent, retries=False)
        )


def signed_in(view: RunningView, name: str) -> SignedIn:
    start = begun(view)
    callback = consent(start.headers["Location"], name)
    path = callback.removeprefix(view.url)
    answer = view.get(path, by=None, cookie=start.headers["Set-Cookie"].partition(";")[0])
    assert (answer.status, answer.headers["Location"]) == (303, "/?q=a")
    return SignedIn(view, answer.headers["Set-Cookie"].partition(";")[0], callback)


def note(words: str) -> dict[str, Any]:
    return {"kind": "ACKNOWLEDGED", "note": words, "until_ms": now_us() // 1000 + 86_400_000}


def test_a_person_signs_in_with_the_button_returns_to_the_filter_and_signs_out(browser: Browser, view):
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{view.url}/?sort=progress")
        page.get_by_role("button", name="Sign in with Provider").click()
        page.get_by_label("Who").fill("ada")
        page.get_by_role("button", name="Sign in").click()
        expect(rows(page).first).to_be_visible()
        expect(page).to_have_url(f"{view.url}/?sort=progress")
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        assert page.evaluate("document.cookie") == ""
        assert page.evaluate("JSON.stringify({...sessionStorage, ...localStorage})").find("token") == -1
        tab = context.new_page()
        tab.goto(view.url)
        expect(rows(tab).first).to_be_visible()
        tab.get_by_role("button", name="Sign out ada.l").click()
        for each in (page, tab):
            expect(each.get_by_role("button", name="Sign in with Provider")).to_be_visible()
        tab.reload()
        expect(tab.get_by_role("button", name="Sign in with Provider")).to_be_visible()
    finally:
        context.close()


def test_a_person_who_is_refused_sees_why_and_gets_back(browser: Browser, view):
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{view.url}/?q=a")
        page.get_by_role("button", name="Sign in with Provider").click()
        page.get_by_role("button", name="Deny").click()
        expect(page.get_by_role("alert")).to_contain_text("Provider did not sign you in (access_denied)")
        page.get_by_role("link", name="Back to the tasks").click()
        expect(page.get_by_role("button", name="Sign in with Provider")).to_be_visible()
        expect(page).to_have_url(f"{view.url}/?q=a")
    finally:
        context.close()


def test_a_reader_sees_one_project_and_may_not_acknowledge_and_an_operator_may(view):
    reader, operator = signed_in(view, "ben"), signed_in(view, "ada")
    shown = reader.ask("GET", "/tasks").json()["tasks"]
    assert {each["project_id"] for each in shown} == {"project-1"}
    assert len({each["project_id"] for each in operator.ask("GET", "/tasks").json()["tasks"]}) > 1
    path = f"/tasks/{shown[0]['task_id']}/note?project=project-1"
    refused = reader.ask("PUT", path, note("mine"))
    assert (refused.status, refused.json()["error_code"]) == (403, "APIGW.0302")
    made = operator.ask("PUT", path, note("known"))
    assert made.status == 200, made.data
    assert made.json()["note"]["by"] == "ada.l"


def test_no_secret_of_a_sign_in_is_in_the_log(view):
    person = signed_in(view, "ada")
    log = view.log.read_text()
    assert "signed_in" in log
    assert "ada.l" in log
    sent = parameters(person.callback)
    for secret in (sent["code"], sent["state"], person.cookie.partition("=")[2], CLIENT_SECRET):
        assert secret not in log


def rows(page: Page) -> Any:
    return page.locator("#rows tr")

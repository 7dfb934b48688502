"""Many pages of the view in one browser, the page and the API below a prefix behind a proxy, and clocks that are wrong."""

from __future__ import annotations

import contextlib
import gzip
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import urllib3
from playwright.sync_api import BrowserContext, Page, expect

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.ports import free_port
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, running_view, series
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

PAGES = 8
STREAMS = 3
KEY = "project-1/shared/MIGRATE_LINUX_FILE"


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    topic.put(*fleet(now_us(), 120))
    return topic


@pytest.fixture
def context(browser) -> Iterator[BrowserContext]:
    opened = browser.new_context()
    yield opened
    opened.close()


def listeners(view: RunningView) -> int:
    text = view.get("/metrics").data.decode()
    return int(float(re.search(r"^taskstream_view_stream_listeners (\S+)$", text, re.MULTILINE)[1]))


def hide(page: Page, hidden: bool) -> None:
    """Make the page hidden or visible, as a browser does when another tab is chosen; Playwright keeps all visible."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_eight_pages_of_one_browser_all_show_what_is_and_a_hidden_one_leaves_its_stream_to_others(
    context, view, states
):
    states.put({KEY: series(now_us(), progress=11)})
    pages = [context.new_page() for _ in range(PAGES)]
    for page in pages:
        page.goto(f"{view.url}/?q=shared#token={view.tokens['operator']}")
    for page in pages:
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        expect(page.locator(".pair span").first).to_have_text("11 %")
    wait_until(lambda: listeners(view) == STREAMS)
    states.put({KEY: series(now_us(), progress=64)})
    for page in pages:
        expect(page.locator(".pair span").first).to_have_text("64 %")
    for page in pages[: PAGES - 1]:
        hide(page, hidden=True)
    wait_until(lambda: listeners(view) == 1)
    states.put({KEY: series(now_us(), progress=71)})
    expect(pages[-1].locator(".pair span").first).to_have_text("71 %")
    for page in pages:
        hide(page, hidden=False)
    for page in pages:
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        expect(page.locator(".pair span").first).to_have_text("71 %")
    wait_until(lambda: listeners(view) == STREAMS)
    for page in pages[:STREAMS]:  # closed without a word
        page.close()
    wait_until(lambda: listeners(view) == STREAMS)


def test_pages_without_a_stream_say_when_the_view_is_lost_and_come_back(context, broker, states, tmp_path):
    states.put({KEY: series(now_us(), progress=20)})
    with running_view(broker, states.topics.prefix, tmp_path) as first:
        pages = [context.new_page() for _ in range(STREAMS + 1)]
        for page in pages:
            page.goto(f"{first.url}/?q=shared#token={first.tokens['operator']}")
            expect(page.locator("#live-text")).to_have_text("live, every 4 s" if page is pages[-1] else "live")
        first.process.kill()
        for page in pages:
            expect(page.locator("#live")).to_have_attribute("data-state", "lost")
        states.put({KEY: series(now_us(), progress=21)})
        port = int(first.url.rpartition(":")[2])
        with running_view(broker, states.topics.prefix, tmp_path, port=port):
            for page in pages:
                expect(page.locator("#live")).to_have_attribute("data-state", "live")
                expect(page.locator(".pair span").first).to_have_text("21 %")


def test_ages_on_the_page_of_a_task_are_by_the_clock_of_the_view(context, view, states):
    """The view's clock stands still in this test, so the browser's is ahead of it."""
    seen = now_us() - 3_600 * S
    states.put({KEY: series(now_us(), last_seen=seen, last_advance=seen, typical_gap_s=3_000.0, quiet_limit_s=9_000.0)})
    wait_until(lambda: view.shown("/tasks/shared")["last_seen_ms"] == seen // 1000)
    page = context.new_page()
    page.clock.install(time=now_us() / 1e6 + 600)
    page.goto(f"{view.url}/?project=project-1&task=shared#token={view.tokens['operator']}")
    expect(page.locator(".facts.wide")).to_contain_text(re.compile("last report1 h( 0 min)? ago"))


NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_buffering on;
    server {{
        listen 127.0.0.1:{port};
        location = /fleet-of/view {{ return 301 /fleet-of/view/; }}
        location /fleet-of/view/ {{ proxy_pass {upstream}/; }}
    }}
}}
"""


@contextlib.contextmanager
def running_nginx(nginx: Path, folder: Path, upstream: str) -> Iterator[str]:
    """The address under which the proxy serves the upstream. It speaks HTTP/1.0 to it, and buffers, as by default."""
    port = free_port()
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, port=port, upstream=upstream))
    process = subprocess.Popen([str(nginx), "-p", str(folder), "-c", str(settings)], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/fleet-of/view/"
    try:
        wait_until(lambda: answers(address), (folder / "error.log").read_text)
        yield address
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    try:
        return urllib3.request("GET", address, retries=False, timeout=LIMIT_S).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def test_page_api_and_stream_work_below_a_prefix_behind_a_buffering_proxy(context, view, states, nginx, tmp_path):
    states.put({KEY: series(now_us(), progress=11)})
    with running_nginx(nginx, tmp_path, view.url) as address:
        token = {"X-Auth-Token": view.tokens["operator"]}
        listed = partial(urllib3.request, "GET", f"{address}tasks?q=shared", headers=token)
        wait_until(lambda: [each["task_id"] for each in listed().json()["tasks"]] == ["shared"])
        page = context.new_page()
        page.goto(f"{address}?q=shared#token={view.tokens['operator']}")
        expect(page.locator("#live-text")).to_have_text("live")
        states.put({KEY: series(now_us(), progress=64)})
        expect(page.locator(".pair span").first).to_have_text("64 %")
        page.locator(".id").click()
        expect(page.locator("#task h1")).to_have_text("shared")
        expect(page).to_have_url(f"{address}?project=project-1&task=shared")
        page.reload()
        page.locator("#back").click()
        expect(page.locator("#rows tr").first).to_be_visible()
        expect(page).to_have_url(address)
        page.locator("button.state[data-health=SLOW]").click()
        expect(page).to_have_url(f"{address}?health=SLOW")


def test_a_client_that_accepts_gzip_gets_it(view):
    whole = view.get("/tasks", Accept_Encoding="identity")
    packed = view.get("/tasks", Accept_Encoding="gzip", preload=False)
    raw = packed.read(decode_content=False)
    assert (whole.headers.get("Content-Encoding"), packed.headers["Content-Encoding"]) == (None, "gzip")
    assert gzip.decompress(raw) == whole.data
    assert len(raw) < len(whole.data) / 3
    head = view.get("/tasks", method="HEAD", Accept_Encoding="gzip")
    assert (head.headers["Content-Encoding"], head.data) == ("gzip", b"")
    tag = view.get("/page/main.js", Accept_Encoding="gzip").headers["ETag"]
    assert view.get("/page/main.js", If_None_Match=tag).status == 304

"""The page with 100,000 tasks in a real Chromium, while 500 tasks change per second: load, live, filter, scroll.

The page measures itself: PerformanceObserver reports tasks that block it for more than 50 ms, requestAnimationFrame
gives the time between frames (16.7 ms at 60 Hz). Both are wall time, so they depend on the load of the machine, and
software rendering is the worst case; the CPU time of the page's main thread, from Chromium, does not.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.local import local_kafka
from benchmarks.processes import memory_mib
from tests.chromium import GIVEN, found
from tests.consumer.view.fleets import fleet
from tests.consumer.view.views import S, StateTopic, new_state_topic, now_us, running_view

SECTION = "page"
TASKS = 100_000
CHANGES_PER_S = 500
LIVE_S = 10
OBSERVE = """
window.long = []; window.frames = [];
new PerformanceObserver((list) => { for (const each of list.getEntries()) window.long.push(each.duration); })
  .observe({ type: "longtask", buffered: true });
let last = 0;
(function frame(now) { if (last) window.frames.push(now - last); last = now; requestAnimationFrame(frame); })(0);
"""


def run() -> None:
    """Print the figures."""
    executable = os.environ.get(GIVEN) or found()
    assert executable, "no Chromium on the PATH"
    with tempfile.TemporaryDirectory() as folder, local_kafka() as kafka:
        states = new_state_topic(kafka.client, "bench-page", 12)
        rows, traces = fleet(now_us(), TASKS)
        keys = list(rows)
        for first in range(0, len(keys), 10_000):
            states.put({key: rows[key] for key in keys[first : first + 10_000]}, traces)
        with running_view(kafka.client, states.topics.prefix, Path(folder)) as view, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.add_init_script(OBSERVE)
            cpu = Cpu(page)
            stop = threading.Event()
            moving = [key for key in keys if rows[key]["health"][0] == 0]
            writer = threading.Thread(target=write, args=(states, {key: rows[key] for key in moving}, stop))
            writer.start()
            try:
                measure(page, cpu, f"{view.url}/#token={view.tokens['operator']}")
            finally:
                stop.set()
                writer.join()
            print(f"page: the view's resident memory with {TASKS:,} tasks: {memory_mib(view.process.pid):.0f} MiB")
            browser.close()


PARTS = {"LayoutDuration": "layout", "RecalcStyleDuration": "style", "ScriptDuration": "script", "TaskDuration": "all"}


class Cpu:
    """The CPU time of the page's main thread since the last call; a navigation resets it."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._last: dict[str, float] = {}

    def spent(self) -> str:
        now = {each["name"]: each["value"] for each in self._session.send("Performance.getMetrics")["metrics"]}
        last, self._last = self._last, now
        if now["TaskDuration"] < last.get("TaskDuration", 0.0):
            last = {}
        return ", ".join(f"{label} {1000 * (now[name] - last.get(name, 0.0)):.0f} ms" for name, label in PARTS.items())


def measure(page: Page, cpu: Cpu, address: str) -> None:
    """Run every step, and print the page's measurements after each."""
    began_s = time.monotonic()
    page.goto(address)
    page.locator("#rows tr").nth(99).wait_for()
    print_step(
        page, cpu, f"loaded, 100 of {TASKS:,} tasks on the page after {1000 * (time.monotonic() - began_s):.0f} ms"
    )
    page.goto(address.replace("/#", "/?sort=-rate_fast_bps#"))
    page.locator("#rows tr").nth(99).wait_for()
    print_step(page, cpu, "sorted by rate")
    page.wait_for_timeout(LIVE_S * 1000)
    print_step(page, cpu, f"{LIVE_S} s of {CHANGES_PER_S} changes/s")
    for _ in range(40):
        page.mouse.wheel(0, 300)
        page.wait_for_timeout(50)
    print_step(page, cpu, "scrolled through")
    page.locator("#filter-q").press_sequentially("-001", delay=80)
    page.locator("#where").filter(has_text="of 100").wait_for()
    print_step(page, cpu, "filtered to 100")
    page.locator("#clear").click()
    page.locator("#where").filter(has_text=f"of {TASKS:,}").wait_for()
    print_step(page, cpu, "cleared")
    for _ in range(5):
        page.locator("#next").click()
        page.wait_for_timeout(400)
    print_step(page, cpu, "five pages on")
    elements = page.evaluate("[document.querySelectorAll('#rows tr').length, document.querySelectorAll('*').length]")
    print(f"page: {elements[0]} rows, {elements[1]:,} elements in the document")


def print_step(page: Page, cpu: Cpu, what: str) -> None:
    """Print the page's measurements since the last call."""
    long, frames = page.evaluate("[window.long.splice(0), window.frames.splice(0)]")
    frames = sorted(frames) or [0.0]
    p99 = frames[min(len(frames) - 1, int(len(frames) * 0.99))]
    worst = f", the longest {max(long):.0f} ms" if long else ""
    print(
        f"page: {what}: {len(long)} long tasks{worst}; frames: median {statistics.median(frames):.0f} ms, "
        f"p99 {p99:.0f} ms, worst {frames[-1]:.0f} ms; CPU {cpu.spent()}"
    )


def write(states: StateTopic, rows, stop: threading.Event) -> None:
    """Write CHANGES_PER_S changed rows per second, with growing bytes, until `stop` is set."""
    keys, start, size, due_s = list(rows), 0, CHANGES_PER_S // 5, time.monotonic()
    while not stop.is_set():
        chosen = {}
        for step in range(size):
            key = keys[(start + step) % len(keys)]
            row = rows[key].copy()
            row["last_seen"] = row["last_advance"] = now_us()
            row["replicatesize"] = min(int(row["totalsize"][0]), int(row["replicatesize"][0]) + 20 * S)
            row["rate_fast_bps"] *= 1 + 0.1 * ((start + step) % 7 - 3) / 3
            chosen[key] = row
        start += size
        states.put(chosen)
        due_s += size / CHANGES_PER_S
        time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    run()

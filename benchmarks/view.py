"""The view: its start, what a series and a change cost, the first page meanwhile, and the latency of a stream.

The first part reads TASKSTREAM_BENCH_SERIES rows (200,000; each of a task of its own) and then as many changes of
them, as fast as they are written. CPU is that of the view's process. The second part has 100,000 series, of which 2,000
per second change, in one transaction every 100 ms; the latency is the time at which the stream's event arrives minus
last_seen, the time at which its commit began.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import urllib3

from benchmarks.local import local_kafka
from benchmarks.processes import cpu_of, memory_mib
from benchmarks.worker_events import prepare_rows
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.consumer.view.views import StateTopic, new_state_topic, now_us, running_view, series
from tests.waiting import wait_until

SECTION = "view"
FOLLOWED = int(os.environ.get("TASKSTREAM_BENCH_SERIES", "200000"))
READY_S = 600.0
PAGE_PAUSE_S = 0.05
QUIET_S = 1.0
"""A view that needs less than half a core for so long has followed everything."""
SERIES = 100_000
CHANGES_PER_S = 2_000
SECONDS = 15
REQUESTS = 200


def run() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder, local_kafka() as kafka:
        measure_following(kafka, Path(folder))
        states = new_state_topic(kafka.client, "bench-view", 12)
        keys = [f"project-{number % 20}/task-{number:06d}/MIGRATE_LINUX_FILE" for number in range(SERIES)]
        for first in range(0, SERIES, 10_000):
            states.put(dict.fromkeys(keys[first : first + 10_000], series(now_us())))
        began_s = time.monotonic()
        with running_view(kafka.client, states.topics.prefix, Path(folder), wait=False) as view:
            wait_until(lambda: view.get("/readyz", by=None).status == 200)
            print(f"view: {SERIES:,} series read back, ready {time.monotonic() - began_s:.1f} s after its start")
            print_times("GET /tasks, first page of 100, no changes", [page_ms(view) for _ in range(REQUESTS)])
            stop = threading.Event()
            writer = threading.Thread(target=write, args=(states, keys, stop))
            writer.start()
            print_times(f"change to open /stream at {CHANGES_PER_S:,} changes/s", stream_latencies_ms(view))
            print_times(f"GET /tasks at {CHANGES_PER_S:,} changes/s", [page_ms(view) for _ in range(REQUESTS)])
            stop.set()
            writer.join()
            print(f"view: resident memory {memory_mib(view.process.pid):.0f} MiB with {SERIES:,} series")


def measure_following(kafka: LocalKafka, folder: Path) -> None:
    """Start a view on FOLLOWED series, then change each of them."""
    topics = Topics("bench-follow")
    create_topics(kafka.client.config(), topics, 1)
    prepare_rows(kafka.bootstrap_servers, topics, FOLLOWED)
    began_s = time.monotonic()
    with running_view(kafka.client, topics.prefix, folder, wait=False, stopped_clock=False) as view:
        pid = view.process.pid
        empty_mib, cpu_s = memory_mib(pid), cpu_of(pid)
        wait_until(lambda: view.get("/readyz", by=None).status == 200, limit_s=READY_S)
        took_s, cpu_s = time.monotonic() - began_s, cpu_of(pid) - cpu_s
        held = (memory_mib(pid) - empty_mib) * 2**20 / FOLLOWED
        print(
            f"view: {FOLLOWED:,} series ready in {took_s:.1f} s, {cpu_s / FOLLOWED * 1e6:.1f} us of CPU and {held:.0f} "
            f"bytes per series, load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        changes_followed(kafka, topics, pid)
        pages: list[float] = []
        stop = threading.Event()
        reader = threading.Thread(target=read_pages, args=(view, pages, stop))
        reader.start()
        changes_followed(kafka, topics, pid, ", while the first page is read")
        stop.set()
        reader.join()
        print_times("GET /tasks meanwhile", pages)


def changes_followed(kafka: LocalKafka, topics: Topics, pid: int, what: str = "") -> None:
    """Change each of FOLLOWED series; print what the view with this process needs for it."""
    cpu_s, began_s = cpu_of(pid), time.monotonic()
    prepare_rows(kafka.bootstrap_servers, topics, FOLLOWED)
    before_s = 0.0
    while cpu_of(pid) - before_s >= QUIET_S / 2:
        before_s = cpu_of(pid)
        time.sleep(QUIET_S)
    took_s, cpu_s = time.monotonic() - QUIET_S - began_s, cpu_of(pid) - cpu_s
    print(
        f"view: {FOLLOWED:,} changes followed at {FOLLOWED / took_s:,.0f} per second, as they were written{what}, with "
        f"{cpu_s / FOLLOWED * 1e6:.1f} us of CPU per change, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def read_pages(view, pages: list[float], stop: threading.Event) -> None:
    """Ask for the first page until `stop` is set; append the milliseconds of each request."""
    while not stop.is_set():
        pages.append(page_ms(view))
        time.sleep(PAGE_PAUSE_S)


def write(states: StateTopic, keys: list[str], stop: threading.Event) -> None:
    """Commit CHANGES_PER_S changes per second until `stop` is set."""
    start, due_s = 0, time.monotonic()
    size = CHANGES_PER_S // 10
    while not stop.is_set():
        chosen = [keys[(start + step) % len(keys)] for step in range(size)]
        start += size
        states.put(dict.fromkeys(chosen, series(now_us(), last_seen=now_us())))
        due_s += size / CHANGES_PER_S
        time.sleep(max(0.0, due_s - time.monotonic()))


def stream_latencies_ms(view) -> list[float]:
    """Milliseconds from each change to its event on the stream, during SECONDS."""
    found: list[float] = []
    with urllib3.PoolManager() as http:
        headers = {"X-Auth-Token": view.tokens["operator"]}
        response = http.request("GET", f"{view.url}/stream", headers=headers, preload_content=False)
        rest = b""
        until_s = time.monotonic() + SECONDS
        while time.monotonic() < until_s:
            rest += response.read1(1 << 20)
            *lines, rest = rest.split(b"\n")
            arrived_ms = time.time() * 1000
            tasks = [json.loads(line[6:]) for line in lines if line.startswith(b'data: {"project_id"')]
            found.extend(arrived_ms - each["last_seen_ms"] for each in tasks)
        response.close()
    print(f"view: {len(found):,} events in {SECONDS} s")
    return found


def page_ms(view) -> float:
    """Milliseconds of one request of the first page, including its body."""
    began_s = time.perf_counter()
    assert view.get("/tasks").status == 200
    return (time.perf_counter() - began_s) * 1000


def print_times(what: str, values_ms: list[float]) -> None:
    """Print the median and the 99th percentile."""
    p99 = statistics.quantiles(values_ms, n=100)[98]
    print(f"view: {what}: median {statistics.median(values_ms):.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    run()

"""The view with 100,000 series: the first page's time, a change's way from the topic to an open stream, memory.

On a real Kafka: 2,000 changes a second are committed by a transaction each 100 ms; each carries the moment at which its
transaction began to commit as its last_seen, and the listener takes the difference when the event has arrived.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from pathlib import Path

import urllib3

from benchmarks.local import local_kafka
from benchmarks.processes import memory_mib
from tests.consumer.view.views import StateTopic, new_state_topic, now_us, running_view, series
from tests.waiting import wait_until

SECTION = "view"
SERIES = 100_000
CHANGES_PER_S = 2_000
SECONDS = 15
ASKED = 200


def run() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder, local_kafka() as kafka:
        states = new_state_topic(kafka.client, "bench-view", 12)
        keys = [f"project-{number % 20}/task-{number:06d}/MIGRATE_LINUX_FILE" for number in range(SERIES)]
        for first in range(0, SERIES, 10_000):
            states.put(dict.fromkeys(keys[first : first + 10_000], series(now_us())))
        began_s = time.monotonic()
        with running_view(kafka.client, states.topics.prefix, Path(folder), wait=False) as view:
            wait_until(lambda: view.get("/readyz", by=None).status == 200)
            print(f"view: {SERIES:,} series read back, ready {time.monotonic() - began_s:.1f} s after its start")
            tell("GET /tasks, first page of 100, the topic at rest", [page_ms(view) for _ in range(ASKED)])
            stop = threading.Event()
            writer = threading.Thread(target=write, args=(states, keys, stop))
            writer.start()
            tell(f"change to open /stream at {CHANGES_PER_S:,} changes/s", listen_ms(view))
            tell(f"GET /tasks at {CHANGES_PER_S:,} changes/s", [page_ms(view) for _ in range(ASKED)])
            stop.set()
            writer.join()
            print(f"view: resident memory {memory_mib(view.process.pid):.0f} MiB with {SERIES:,} series")


def write(states: StateTopic, keys: list[str], stop: threading.Event) -> None:
    """Commit changes at the rate that is claimed, until told to stop."""
    place, due_s = 0, time.monotonic()
    size = CHANGES_PER_S // 10
    while not stop.is_set():
        chosen = [keys[(place + step) % len(keys)] for step in range(size)]
        place += size
        states.put(dict.fromkeys(chosen, series(now_us(), last_seen=now_us())))
        due_s += size / CHANGES_PER_S
        time.sleep(max(0.0, due_s - time.monotonic()))


def listen_ms(view) -> list[float]:
    """Milliseconds between each change and its event, over some seconds."""
    found: list[float] = []
    with urllib3.PoolManager() as http:
        headers = {"X-Auth-Token": view.tokens["operator"]}
        answer = http.request("GET", f"{view.url}/stream", headers=headers, preload_content=False)
        kept = b""
        until_s = time.monotonic() + SECONDS
        while time.monotonic() < until_s:
            kept += answer.read1(1 << 20)
            *lines, kept = kept.split(b"\n")
            arrived_ms = time.time() * 1000
            told = [json.loads(line[6:]) for line in lines if line.startswith(b'data: {"project_id"')]
            found.extend(arrived_ms - each["last_seen_ms"] for each in told)
        answer.close()
    print(f"view: {len(found):,} events in {SECONDS} s")
    return found


def page_ms(view) -> float:
    """One first page, with its body read."""
    began_s = time.perf_counter()
    assert view.get("/tasks").status == 200
    return (time.perf_counter() - began_s) * 1000


def tell(what: str, values_ms: list[float]) -> None:
    """Print the median and the 99th percentile."""
    p99 = statistics.quantiles(values_ms, n=100)[98]
    print(f"view: {what}: median {statistics.median(values_ms):.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    run()

"""Workers are killed at random moments, and the broker once; what Kafka then holds is what one undisturbed fold gives."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from compose.kafka import LocalKafka
from compose.topics_admin import create_topics
from consumer.records import state_batch, window_batch
from consumer.table import Settings
from schemas.topics import Topics
from tests.pipeline.streams import (
    Fleet,
    await_true,
    committed,
    fold_all,
    kill,
    newest_by_key,
    producer,
    read_all,
    records,
    table_of,
    worker,
)

BUCKET_S = 1.0
KILLS = int(os.environ.get("TASKSTREAM_TEST_KILLS", "8"))
SEED = int(os.environ.get("TASKSTREAM_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)


@contextmanager
def arriving(bootstrap: str, topics: Topics, fleet: Fleet, rate: float) -> Iterator[None]:
    """Events arrive all the while; at the end all of them are acknowledged."""
    stop = threading.Event()
    sender = producer(bootstrap, **{"delivery.timeout.ms": 120_000})

    def send() -> None:
        while not stop.wait(0.05):
            for _ in range(int(rate * 0.05)):
                key, value = fleet.event()
                sender.produce(topics.progress.name, value, key)
            sender.poll(0)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        assert sender.flush(120) == 0


def test_state_equals_one_undisturbed_fold_whatever_is_killed(private_kafka: LocalKafka, tmp_path: Path) -> None:
    print(f"seed {SEED}, {KILLS} kills")
    rng = random.Random(SEED)
    kafka, topics = private_kafka, Topics("crash", partitions=6)
    create_topics(kafka.client.config(), topics, 1)
    fleet = Fleet(tasks=200, seed=SEED, step_us=5_000)
    bucket = ("--bucket", str(BUCKET_S))
    with ExitStack() as at_end:
        slots = {
            name: at_end.enter_context(worker(kafka.bootstrap_servers, topics, tmp_path, name, *bucket))
            for name in ("a", "b")
        }
        with arriving(kafka.bootstrap_servers, topics, fleet, rate=1_000):
            for number in range(KILLS):
                time.sleep(rng.uniform(0.2, 4.0))
                if number == KILLS // 2:
                    kafka.kill()
                    time.sleep(rng.uniform(0.5, 3.0))
                    kafka.restart()
                victims = ["a", "b"] if rng.random() < 0.3 else [rng.choice("ab")]
                for name in victims:
                    kill(slots[name])
                time.sleep(rng.choice([0.0, 0.0, 1.0]))
                for name in victims:
                    slots[name] = at_end.enter_context(worker(kafka.bootstrap_servers, topics, tmp_path, name, *bucket))
        await_true(
            lambda: committed(kafka.bootstrap_servers, topics) == fleet.sent,
            120,
            f"seed {SEED}: the workers do not come to the end",
        )
        assert all(process.poll() is None for process in slots.values()), f"seed {SEED}: a worker ended by itself"
    events = read_all(kafka.bootstrap_servers, topics.progress.name)
    assert len(events) == fleet.sent
    expected, folded = fold_all(events, Settings(BUCKET_S))
    state = newest_by_key(read_all(kafka.bootstrap_servers, topics.state.name))
    found = table_of(state)
    found.settings = expected.settings
    keys = sorted(state)
    assert sorted(expected.keys[expected.rows["live"]]) == keys, f"seed {SEED}"
    expected_rows = state_batch(expected, expected.find(keys)).to_pylist()
    found_rows = state_batch(found, found.find(keys)).to_pylist()
    for expects, finds in zip(expected_rows, found_rows, strict=True):
        assert finds == expects, f"seed {SEED}"
    assert closed(records(read_all(kafka.bootstrap_servers, topics.rates.name), "RateWindow")) == closed(
        [_plain(each) for each in window_batch(expected, folded.windows).to_pylist()]
    ), f"seed {SEED}: each closed window is on the topic exactly once"
    assert len(read_all(kafka.bootstrap_servers, topics.signals.name)) == len(folded.signals), f"seed {SEED}"


def closed(windows: list[dict]) -> list[tuple]:
    names = ("project_id", "task_id", "subtask_name", "window_start", "minutes", "bytes", "complete", "closed_at")
    return sorted(tuple(window[name] for name in names) for window in windows)


def _plain(window: dict) -> dict:
    micros = {name: round(window[name].timestamp() * 1_000_000) for name in ("window_start", "closed_at")}
    return window | micros


@pytest.fixture(autouse=True)
def _words_on_failure(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    yield
    for log in sorted(tmp_path.glob("*.log")):
        print(f"--- {log.name}\n{log.read_text()[-4000:]}")

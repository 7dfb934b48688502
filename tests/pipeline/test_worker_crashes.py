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
from schemas.topics import Topics
from tests.pipeline.folded import as_one_undisturbed_fold
from tests.pipeline.streams import Fleet, await_true, committed, kill, producer, worker

BUCKET_S = 1.0
KILLS = int(os.environ.get("TASKSTREAM_TEST_KILLS", "5"))
LONGEST_S = 3.0
"""Between two kills, at most."""
SEED = int(os.environ.get("TASKSTREAM_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)


@contextmanager
def arriving(bootstrap: str, topics: Topics, fleet: Fleet, rate: float) -> Iterator[None]:
    """Events arrive all the while; at the end all of them are acknowledged."""
    stop = threading.Event()
    sender = producer(bootstrap, **{"delivery.timeout.ms": 120_000, "log_level": 0})

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
                time.sleep(rng.uniform(0.2, LONGEST_S))
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
    as_one_undisturbed_fold(kafka.bootstrap_servers, topics, fleet.sent, BUCKET_S)


@pytest.fixture(autouse=True)
def _words_on_failure(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    yield
    for log in sorted(tmp_path.glob("*.log")):
        print(f"--- {log.name}\n{log.read_text()[-4000:]}")

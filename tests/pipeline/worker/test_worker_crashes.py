"""Workers are killed at random moments, and the broker once; what Kafka then holds is what one undisturbed fold gives.

Longer, and the same way again (each kill at the same place in the same order; the moments are the machine's):
    TASKSTREAM_TEST_KILLS=30 TASKSTREAM_TEST_SEED=7 make test ARGS=tests/pipeline/worker/test_worker_crashes.py
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.pipeline.folded import as_one_undisturbed_fold
from tests.pipeline.streams import Fleet, arriving, committed, kill, worker
from tests.waiting import wait_until

BUCKET_S = 1.0
KILLS = int(os.environ.get("TASKSTREAM_TEST_KILLS", "5"))
LONGEST_S = 2.0
"""From the moment when somebody has committed, or at once, to the next kill, at most."""
COMMIT_S = 0.05
"""So short that many a kill meets an open transaction."""
SEED = int(os.environ.get("TASKSTREAM_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
GUEST = "guest"
HUNG = 70
"""The exit code of a worker whose watchdog ended it."""


class Crew:
    """Workers a and b, who have names and get their partitions back, and at times a guest without one: then they move.

    `start` begins a worker of that name; what is left at the end is ended by the stack.
    """

    def __init__(self, start: Callable[[str], AbstractContextManager[subprocess.Popen[bytes]]], at_end: ExitStack):
        self._start = start
        self._at_end = at_end
        self.killed = self.visits = self.hung = 0
        self._here = {name: at_end.enter_context(start(name)) for name in ("a", "b")}

    @property
    def names(self) -> list[str]:
        return sorted(self._here)

    def come(self, name: str) -> None:
        self._here[name] = self._at_end.enter_context(self._start(name))
        self.visits += name == GUEST

    def kill(self, names: list[str]) -> None:
        for name in names:
            kill(self._here.pop(name))
            self.killed += 1

    def leave(self, name: str) -> None:
        process = self._here.pop(name)
        process.terminate()
        ended = process.wait(60)  # by the signal itself: it had not begun yet
        assert ended in (0, -signal.SIGTERM, HUNG), f"{name} ended with {ended}"

    def look(self) -> bool:
        """As a supervisor does: who ended because a call into Kafka hung is started again; nobody else may have ended."""
        for name, process in [*self._here.items()]:
            if process.poll() is not None:
                assert process.returncode == HUNG, f"{name} ended with {process.returncode}"
                self.hung += 1
                self.come(name)
        return False


def one_more_blow(crew: Crew, rng: random.Random, folded: Callable[[], int]) -> None:
    """One or two are killed at once and come again, now or a moment later; a guest comes or goes now and then.

    Most of them are met at work, because somebody has just committed; the others wherever they are, also while starting.
    """
    if rng.random() < 0.7:
        before = folded()
        wait_until(lambda: folded() > before or crew.look())
    time.sleep(rng.uniform(0.0, LONGEST_S))
    crew.look()
    victims = rng.sample(crew.names, 2 if rng.random() < 0.3 else 1)
    crew.kill(victims)
    time.sleep(rng.choice([0.0, 0.0, 1.0]))
    for name in victims:
        if name != GUEST:
            crew.come(name)
    if rng.random() < 0.4:
        if GUEST in crew.names:
            crew.leave(GUEST)
        else:
            crew.come(GUEST)


def test_state_equals_one_undisturbed_fold_whatever_is_killed(
    private_kafka: LocalKafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nTASKSTREAM_TEST_SEED={SEED} TASKSTREAM_TEST_KILLS={KILLS}", end=" ", flush=True)
    rng = random.Random(SEED)
    kafka, topics = private_kafka, Topics("crash", partitions=6)
    create_topics(kafka.client.config(), topics, 1)
    fleet = Fleet(tasks=200, seed=SEED, step_us=5_000)

    def start(name: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        options = ("--bucket", str(BUCKET_S), "--commit-interval", str(COMMIT_S))
        return worker(kafka.bootstrap_servers, topics, tmp_path, name, *options, named=name != GUEST)

    def folded() -> int:
        return committed(kafka.bootstrap_servers, topics)

    with ExitStack() as at_end:
        crew = Crew(start, at_end)
        broker_killed = False
        with arriving(kafka.bootstrap_servers, topics, fleet, rate=1_000, patience_s=120):
            while crew.killed < KILLS:
                one_more_blow(crew, rng, folded)
                if crew.killed > KILLS // 2 and not broker_killed:
                    kafka.kill()
                    time.sleep(rng.uniform(0.5, 3.0))
                    kafka.restart()
                    broker_killed = True

        def all_folded() -> bool:
            crew.look()
            return folded() == fleet.sent

        wait_until(all_folded)
    as_one_undisturbed_fold(kafka.bootstrap_servers, topics, fleet.sent, BUCKET_S)
    with capsys.disabled():
        told = f"{fleet.sent:,} events, {crew.killed} kills, {crew.hung} ended by the watchdog, {crew.visits} visits"
        print(told, end=" ", flush=True)


@pytest.fixture(autouse=True)
def _words_on_failure(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    yield
    for log in sorted(tmp_path.glob("*.log")):
        print(f"--- {log.name}\n{log.read_text()[-4000:]}")

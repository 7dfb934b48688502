"""Workers are killed at random moments, and the broker once; afterwards Kafka holds what one undisturbed fold gives.

For a longer run, or the same order of kills again (their moments depend on the machine):
    make chaos ARGS="--kills 30 --seed 7"
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.pipeline.folded import as_one_undisturbed_fold
from tests.pipeline.streams import Fleet, arriving, committed, kill, worker
from tests.run import chaos
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

BUCKET_S = 1.0
KILLS = chaos.kills(usual=5)
LONGEST_S = 2.0
"""The longest pause before the next kill; it begins when a worker has committed, or at once."""
COMMIT_S = 0.05
"""So short that many kills happen within a transaction."""
SEED = chaos.seed()
GUEST = "guest"
HUNG = 70
"""The exit code of a worker whose watchdog ended it."""


class Crew:
    """Workers a and b, with instance names, keep their partitions; a guest without one makes partitions move.

    `start` starts a worker of that name; `at_end` stops those that still run.
    """

    def __init__(self, start: Callable[[str], AbstractContextManager[subprocess.Popen[bytes]]], at_end: ExitStack):
        self._start_worker = start
        self._at_end = at_end
        self.killed = self.visits = self.hung = 0
        self._running = {name: at_end.enter_context(start(name)) for name in ("a", "b")}

    @property
    def names(self) -> list[str]:
        return sorted(self._running)

    def start(self, name: str) -> None:
        self._running[name] = self._at_end.enter_context(self._start_worker(name))
        self.visits += name == GUEST

    def kill(self, names: list[str]) -> None:
        for name in names:
            kill(self._running.pop(name))
            self.killed += 1

    def stop(self, name: str) -> None:
        process = self._running.pop(name)
        process.terminate()
        ended = process.wait(LIMIT_S)  # -SIGTERM: it had not installed its handler yet
        assert ended in (0, -signal.SIGTERM, HUNG), f"{name} ended with {ended}"

    def restart_hung(self) -> bool:
        """Start the workers again whose watchdog ended them, as a supervisor does; no other may have ended. Gives False."""
        for name, process in [*self._running.items()]:
            if process.poll() is not None:
                assert process.returncode == HUNG, f"{name} ended with {process.returncode}"
                self.hung += 1
                self.start(name)
        return False


def kill_some(crew: Crew, rng: random.Random, folded: Callable[[], int]) -> None:
    """Kill one or two workers at once and start them again, now or a second later; sometimes start or stop the guest.

    Most kills follow a commit, so that the workers are at work; the others happen at any moment, also during a start.
    """
    if rng.random() < 0.7:
        before = folded()
        wait_until(lambda: folded() > before or crew.restart_hung())
    time.sleep(rng.uniform(0.0, LONGEST_S))
    crew.restart_hung()
    victims = rng.sample(crew.names, 2 if rng.random() < 0.3 else 1)
    crew.kill(victims)
    time.sleep(rng.choice([0.0, 0.0, 1.0]))
    for name in victims:
        if name != GUEST:
            crew.start(name)
    if rng.random() < 0.4:
        if GUEST in crew.names:
            crew.stop(GUEST)
        else:
            crew.start(GUEST)


@pytest.mark.chaos
def test_state_equals_one_undisturbed_fold_whatever_is_killed(
    private_kafka: LocalKafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\n--kills {KILLS} --seed {SEED}", end=" ", flush=True)
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
        with arriving(kafka.bootstrap_servers, topics, fleet, rate=1_000):
            while crew.killed < KILLS:
                kill_some(crew, rng, folded)
                if crew.killed > KILLS // 2 and not broker_killed:
                    kafka.kill()
                    time.sleep(rng.uniform(0.5, 3.0))
                    kafka.restart()
                    broker_killed = True

        def all_folded() -> bool:
            crew.restart_hung()
            return folded() == fleet.sent

        wait_until(all_folded)
    as_one_undisturbed_fold(kafka.bootstrap_servers, topics, fleet.sent, BUCKET_S)
    with capsys.disabled():
        summary = f"{fleet.sent:,} events, {crew.killed} kills, {crew.hung} ended by the watchdog, {crew.visits} visits"
        print(summary, end=" ", flush=True)

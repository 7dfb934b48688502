"""Workers start, stop and are suspended while events arrive: partitions move, and nothing is counted twice."""

from __future__ import annotations

import signal
from contextlib import ExitStack

import pytest

from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.topics import Topics
from tests.pipeline.folded import as_one_undisturbed_fold
from tests.pipeline.streams import Fleet, arriving, ask, committed, measured, words, worker
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

BUCKET_S = 1.0


@pytest.fixture
def partitions() -> int:
    return 6


def all_folded(broker: KafkaClient, topics: Topics, fleet: Fleet) -> None:
    wait_until(
        lambda: committed(broker.bootstrap_servers, topics) == fleet.sent, lambda: f"of {fleet.sent} that were sent"
    )
    as_one_undisturbed_fold(broker.bootstrap_servers, topics, fleet.sent, BUCKET_S)


@pytest.mark.parametrize("named", [True, False], ids=["--instance", "no name"])
def test_two_then_three_then_one_worker_count_nothing_twice(broker, topics, tmp_path, named):
    fleet = Fleet(tasks=60, seed=5, step_us=5_000)

    def another(name: str):
        return worker(broker.bootstrap_servers, topics, tmp_path, name, "--bucket", str(BUCKET_S), named=named)

    def folds(name: str) -> bool:
        return measured(tmp_path, "events_total", name) > 0

    with ExitStack() as at_end, arriving(broker.bootstrap_servers, topics, fleet, rate=500):
        first = at_end.enter_context(another("a"))
        second = at_end.enter_context(another("b"))
        wait_until(lambda: folds("a") and folds("b"))
        at_end.enter_context(another("c"))
        wait_until(lambda: folds("c"))
        for process in (first, second):
            process.terminate()
            assert process.wait(LIMIT_S) == 0
        wait_until(lambda: words(tmp_path, "c").count("assigned") >= 2)
        seen = measured(tmp_path, "events_total", "c")
        wait_until(lambda: measured(tmp_path, "events_total", "c") > seen)
    with another("d"):
        all_folded(broker, topics, fleet)


@pytest.mark.parametrize("named", [True, False], ids=["--instance", "no name"])
def test_a_worker_suspended_while_another_takes_over_changes_nothing(broker, topics, tmp_path, named):
    fleet = Fleet(tasks=60, seed=6, step_us=5_000)
    options = ("--bucket", str(BUCKET_S), "-X", "session.timeout.ms=6000", "-X", "transaction.timeout.ms=5000")

    def another(name: str):
        return worker(broker.bootstrap_servers, topics, tmp_path, name, *options, named=named)

    with ExitStack() as at_end:
        suspended = at_end.enter_context(another("a"))
        at_end.enter_context(another("b"))
        with arriving(broker.bootstrap_servers, topics, fleet, rate=500):
            wait_until(lambda: measured(tmp_path, "events_total", "a") > 0)
            wait_until(lambda: measured(tmp_path, "events_total", "b") > 0)
            held = words(tmp_path, "b").count("assigned")
            suspended.send_signal(signal.SIGSTOP)
            wait_until(lambda: words(tmp_path, "b").count("assigned") > held)
            seen = measured(tmp_path, "events_total", "b")
            wait_until(lambda: measured(tmp_path, "events_total", "b") > seen + 500)
            suspended.send_signal(signal.SIGCONT)
            wait_until(lambda: suspended.poll() is not None or " lost " in words(tmp_path, "a"))
            seen = measured(tmp_path, "events_total", "b")
            wait_until(lambda: measured(tmp_path, "events_total", "b") > seen + 500)
        assert suspended.poll() in (None, 1)
        assert ask(tmp_path, "/healthz", "b")[0] == 200
        assert "Traceback" not in words(tmp_path, "a") + words(tmp_path, "b")
        if suspended.poll() is None:
            all_folded(broker, topics, fleet)
        else:
            with another("a2"):
                all_folded(broker, topics, fleet)

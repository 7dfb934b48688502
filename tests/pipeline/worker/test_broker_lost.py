"""Commands that run while a broker is killed and restarted: what they print and account for."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO

import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import read_all, records

pytestmark = pytest.mark.slow


def command(kafka, topics: Topics, *words: str) -> subprocess.Popen:
    whole = [sys.executable, "-m", "taskstream", *words]
    whole += ["--bootstrap-servers", kafka.client.bootstrap_servers, "--prefix", topics.prefix]
    return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines_of(stream: IO[str] | None) -> Callable[[], str]:
    """A function that returns the next line, and fails after a minute."""
    assert stream is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in stream], daemon=True).start()
    return lambda: lines.get(timeout=300)


def test_tail_and_simulate_survive_a_broker_restart(private_kafka, topic_prefix):
    topics = Topics(topic_prefix, partitions=2)
    create_topics(private_kafka.client.config(), topics)
    tail = command(private_kafka, topics, "tail", "-o", "ndjson")
    simulate = None
    try:
        shown, told = lines_of(tail.stdout), lines_of(tail.stderr)
        assert "following" in told()
        simulate = command(
            private_kafka, topics, "simulate", "--to-topic", "--rate", "50", "--for", "1h", "--seed", "1", "-o", "json"
        )
        for _ in range(20):
            shown()
        private_kafka.kill()
        assert told().startswith("Kafka: ")
        private_kafka.start()
        while told().strip() != "Kafka: available again":
            pass
        for _ in range(200):
            shown()
        simulate.send_signal(signal.SIGINT)
        out, err = simulate.communicate(timeout=300)
        tail.send_signal(signal.SIGINT)
        assert tail.wait(300) == 0
    finally:
        for process in (tail, simulate):
            if process is not None:
                process.kill()
                process.wait()
    account = json.loads(out)
    there = records(read_all(private_kafka.client.bootstrap_servers, topics.progress.name), "ProgressReported")
    ids = {record["event_id"] for record in there}
    assert account["acknowledged"] <= len(ids) <= account["acknowledged"] + account["unanswered"], err
    # When an event has timed out, librdkafka sends the following ones with a new epoch, also those that Kafka has.
    assert len(ids) == len(there) or account["unanswered"] > 0
    assert account["sent"] == account["acknowledged"] + account["unanswered"]


def test_lag_and_doctor_say_that_a_broker_is_gone(private_kafka, topic_prefix):
    create_topics(private_kafka.client.config(), Topics(topic_prefix, partitions=2))
    private_kafka.kill()
    named = ["--bootstrap-servers", private_kafka.client.bootstrap_servers, "--prefix", topic_prefix]
    lag, doctor = (CliRunner().invoke(cli, [noun, *named]) for noun in ("lag", "doctor"))
    assert (lag.exit_code, doctor.exit_code) == (1, 1)
    assert "does Kafka listen" in lag.stderr
    assert "bad      broker" in doctor.stdout

"""The worker beside the peer workers: each catches up on the same events, in every round, on one local Kafka."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka.admin import AdminClient

from benchmarks.local import local_kafka
from benchmarks.peers.answers import Answers, read_answers
from benchmarks.peers.edges import OURS, end_offset
from benchmarks.peers.irregular import prepare_irregular
from benchmarks.peers.rounds import in_turn, ratio_text
from benchmarks.peers.worker_peers import Job, WorkerPeer
from benchmarks.worker_events import prepare
from benchmarks.worker_process import Throughput, measure_throughput, worker_command
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics

TIMEOUT_S = 120.0
WARM_UP_PART = 0.2
"""The part of the events that is not measured: a JVM compiles meanwhile."""


def compare_workers(peers: Mapping[str, WorkerPeer], rounds: int, events: int, series: int) -> None:
    """Measure and print.

    Raises:
        AssertionError: rows or windows of a peer differ from ours.
    """
    os.environ["GOMAXPROCS"] = "1"
    with local_kafka() as kafka:
        topics = Topics("bench")
        create_topics(kafka.client.config(), topics, 1)
        irregular = prepare_irregular(kafka.bootstrap_servers, topics)
        prepare(kafka.bootstrap_servers, topics, events, series)
        what = f"{events:,} events over {series:,} series"
        print(f"  {what}, {topics.partitions} partitions", flush=True)
        found: dict[str, list[Throughput]] = {name: [] for name in (OURS, *peers)}
        for number in range(rounds):
            answers = {}
            for name in in_turn(list(found), number):
                load = os.getloadavg()[0]
                one, answers[name] = one_worker(
                    kafka, topics, peers.get(name), f"{number}-{len(answers)}", events + irregular
                )
                found[name].append(one)
                print(f"  round {number + 1}: {name:28} {described(one)}; load before {load:.1f}", flush=True)
            print(f"  round {number + 1}: {check_equal(answers)}", flush=True)
        for name, each in found.items():
            cpu_us, per_s = [one.cpu_us for one in each], [one.per_s for one in each]
            rate_text, cpu_text = f"{statistics.median(per_s):,.0f}/s", f"{statistics.median(cpu_us):.2f} us CPU"
            print(f"  {what}: {name:28} median {rate_text}, {cpu_text}")
            if name != OURS:
                cpu = ratio_text([one.cpu_us for one in found[OURS]], cpu_us)
                rate = ratio_text([one.per_s for one in found[OURS]], per_s)
                print(f"  {what}: {OURS} / {name}: CPU per event {cpu}, rate {rate}", flush=True)


def described(one: Throughput) -> str:
    return f"{one.per_s:9,.0f} events per second, {one.cpu_us:.2f} us CPU per event, peak {one.peak_mib} MiB"


def check_equal(answers: Mapping[str, Answers]) -> str:
    """A line about the answers of all, which are equal.

    Raises:
        AssertionError: those of a peer differ from ours.
    """
    ours = answers[OURS]
    for name, theirs in answers.items():
        if different := ours.differences(theirs):
            raise AssertionError(f"the answers of {OURS} and {name} differ: {'; '.join(different)}")
    return f"the answers of all are equal: {ours.rows:,} rows of {ours.reports:,} reports, {ours.windows:,} windows"


def one_worker(
    kafka: LocalKafka, topics: Topics, peer: WorkerPeer | None, number: str, events: int
) -> tuple[Throughput, Answers]:
    """The figures and the answers. peer: None for ours. number: differs from run to run."""
    group, bootstrap, partitions = f"run-{number}", kafka.bootstrap_servers, topics.partitions
    warm_up = max(1, round(events * WARM_UP_PART))
    if peer is None:
        empty(kafka, topics)
        command = worker_command(bootstrap, topics, "--group", group)
        one = measure_throughput(command, bootstrap, topics, group, events, warm_up)
        return one, read_answers(bootstrap, topics.state.name, topics.rates.name, partitions, end_offset)
    results = Topics(group)
    create_topics(kafka.client.config(), results, 1)
    state = peer.state_topic(group)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(bootstrap, topics.progress.name, results.rates.name, state, group, Path(folder))
        one = measure_throughput(peer.command(job), bootstrap, topics, group, events, warm_up)
    return one, read_answers(bootstrap, state, results.rates.name, partitions, end_offset)


def empty(kafka: LocalKafka, topics: Topics) -> None:
    """Delete the worker's topics and create them again: a new group refuses a state topic with rows."""
    admin = AdminClient(kafka.client.config())
    names = [topics.state.name, topics.rates.name, topics.signals.name]
    for answer in admin.delete_topics(names, operation_timeout=60).values():
        answer.result(TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while set(names) & set(admin.list_topics(timeout=30).topics):
        assert time.monotonic() < deadline, f"the topics are not deleted: {names}"
        time.sleep(0.2)
    create_topics(kafka.client.config(), topics, 1, timeout_s=TIMEOUT_S)

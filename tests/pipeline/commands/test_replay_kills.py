"""Rebuilds that are killed or interrupted at any moment: each partition has its old state or its new one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics, task_key
from tests.pipeline.commands.replays import command, folded, published, worked
from tests.pipeline.streams import Fleet, newest_by_key, producer, read_all, send
from tests.run import chaos
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

SERIES = 20_000
LATER = 500
KILLS = chaos.kills(usual=4)


@pytest.fixture
def emptied(broker: KafkaClient, topic_prefix: str, tmp_path: Path) -> Topics:
    """A pipeline whose rows all are gone; and some events that nobody has folded yet."""
    topics = Topics(topic_prefix, partitions=4)
    create_topics(broker.config(), topics)
    fleet = Fleet(SERIES, seed=1)
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(SERIES)))
    worked(broker, topics, tmp_path, SERIES)
    rows = {message.key(): message.partition() for message in read_all(broker.bootstrap_servers, topics.state.name)}
    sending = producer(broker.bootstrap_servers)
    for key, partition in rows.items():
        sending.produce(topics.state.name, None, key, partition)
    assert sending.flush(LIMIT_S) == 0
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(LATER)))
    return topics


def written(broker: KafkaClient, topics: Topics) -> int:
    """How many offsets the state topic has, those of open transactions with them."""
    config = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader"}
    consumer = Consumer(config | {"isolation.level": "read_uncommitted"})
    try:
        places = [TopicPartition(topics.state.name, number) for number in range(topics.partitions)]
        return sum(consumer.get_watermark_offsets(place, timeout=60)[1] for place in places)
    finally:
        consumer.close()


def committed(broker: KafkaClient, topics: Topics) -> list[int]:
    """The group's offset of each partition, once what is open is decided."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": f"{topics.prefix}.worker"})
    try:
        places = [TopicPartition(topics.progress.name, number) for number in range(topics.partitions)]
        return [place.offset for place in consumer.committed(places, timeout=60)]
    finally:
        consumer.close()


def ends(broker: KafkaClient, topics: Topics) -> list[int]:
    events = read_all(broker.bootstrap_servers, topics.progress.name)
    return [max(each.offset() for each in events if each.partition() == n) + 1 for n in range(topics.partitions)]


def expected_keys(broker: KafkaClient, topics: Topics) -> list[set[str]]:
    """The keys of the rows that each partition should have."""
    events = read_all(broker.bootstrap_servers, topics.progress.name)
    homes = {each.key().decode(): each.partition() for each in events}
    keys: list[set[str]] = [set() for _ in range(topics.partitions)]
    for key, row in folded(broker, topics).items():
        keys[homes[task_key(row["project_id"], row["task_id"])]].add(key)
    return keys


@contextmanager
def rebuilding(broker: KafkaClient, topics: Topics) -> Iterator[subprocess.Popen]:
    words = command(broker, topics, "rebuild", "--execute", "--until", "latest")
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-m", "taskstream", *words], **silent, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def when_written(broker: KafkaClient, topics: Topics, process: subprocess.Popen, more: int) -> None:
    """Return when the process has written so much, or has ended."""
    until = written(broker, topics) + more
    wait_until(lambda: process.poll() is not None or written(broker, topics) >= until)


def abort_left_open(broker: KafkaClient, topics: Topics) -> None:
    """What Kafka does by itself after a while: abort what a process that was killed has left open."""
    sending = producer(broker.bootstrap_servers, **{"transactional.id": f"{topics.prefix}.worker.rebuild"})
    sending.init_transactions(LIMIT_S)


def check_whole(
    broker: KafkaClient, topics: Topics, expected: list[set[str]], before: list[int], after: list[int]
) -> int:
    """Fail unless each partition is old or new, rows and offset together; gives how many are new."""
    rows = read_all(broker.bootstrap_servers, topics.state.name)
    offsets, new = committed(broker, topics), 0
    for number in range(topics.partitions):
        found = set(newest_by_key([each for each in rows if each.partition() == number]))
        whole = found == expected[number] and offsets[number] == after[number]
        assert whole or (not found and offsets[number] == before[number]), f"partition {number} is half rebuilt"
        new += whole
    return new


@pytest.mark.chaos
def test_killed_again_and_again_a_partition_is_old_or_new_and_one_more_run_finishes(
    broker: KafkaClient, emptied: Topics
):
    points = expected_keys(broker, emptied), committed(broker, emptied), ends(broker, emptied)
    print(f"--seed {(seed := chaos.seed())}")
    chance = random.Random(seed)
    died = 0
    for _ in range(KILLS):
        with rebuilding(broker, emptied) as process:
            when_written(broker, emptied, process, chance.randrange(1, SERIES // 8))
            time.sleep(chance.random() * 0.05)
            process.kill()
            process.wait()
        died += process.returncode == -signal.SIGKILL
        abort_left_open(broker, emptied)
        check_whole(broker, emptied, *points)

    with rebuilding(broker, emptied) as process:
        told = process.communicate(timeout=300)[1]

    assert died, "it ended before it could be killed"
    assert process.returncode == 0, told
    assert check_whole(broker, emptied, *points) == emptied.partitions
    assert published(broker, emptied) == folded(broker, emptied)


def test_interrupted_it_tells_what_is_left_to_do_and_leaves_nothing_open(broker: KafkaClient, emptied: Topics):
    points = expected_keys(broker, emptied), committed(broker, emptied), ends(broker, emptied)

    with rebuilding(broker, emptied) as process:
        when_written(broker, emptied, process, 1)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=300)[1]

    assert process.returncode in (130, 0), told
    assert "Traceback" not in told
    check_whole(broker, emptied, *points)
    if process.returncode:
        assert (
            "interrupted: each partition has its old state or its new one; run the command again for the rest" in told
        )

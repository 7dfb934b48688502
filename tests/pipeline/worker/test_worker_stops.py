"""Errors that end a worker: exit code 1, one clear last line, and nothing written to the topics."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.kafka.consumer_groups import ConsumerGroup
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import Fleet, arriving, committed, producer, read_all, send, words, worker
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow


def stops(broker: KafkaClient, topics: Topics, folder: Path, *options: str) -> str:
    """The last line of a worker that ends with exit code 1 without being stopped."""
    with worker(broker.bootstrap_servers, topics, folder, "w", *options) as process:
        assert process.wait(LIMIT_S) == 1, words(folder)
    said = words(folder)
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("Error: "), said
    return last


def folds_and_leaves(broker: KafkaClient, topics: Topics, folder: Path, events: int) -> None:
    fleet = Fleet(tasks=20, seed=1)
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(events)))
    with worker(broker.bootstrap_servers, topics, folder, "before"):
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == events)


def test_too_many_unreadable_records_stop_it_before_any_is_rejected(broker, topics, tmp_path):
    send(broker.bootstrap_servers, topics, ((f"p/{number}", b"not ours") for number in range(300)))
    said = stops(broker, topics, tmp_path)
    assert "more than 50% of the last records cannot be read" in said
    assert "send all unreadable records to the rejected topic with --reject-share 1" in said
    assert committed(broker.bootstrap_servers, topics) == 0
    assert read_all(broker.bootstrap_servers, topics.rejected.name) == []


def test_a_gap_in_the_topic_stops_it(broker, topics, tmp_path):
    folds_and_leaves(broker, topics, tmp_path, 200)
    fleet = Fleet(tasks=20, seed=2)
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(200)))
    cut = [TopicPartition(topics.progress.name, partition, -1) for partition in range(topics.partitions)]
    admin = AdminClient(broker.config())
    for answer in admin.delete_records(cut).values():
        answer.result()
    said = stops(broker, topics, tmp_path)
    assert "Retention deleted events that were not folded" in said
    assert f"kafka-consumer-groups --group {topics.prefix}.worker --reset-offsets --to-earliest" in said
    assert committed(broker.bootstrap_servers, topics) == 200


def test_deleted_offsets_stop_it_where_there_is_state_until_a_rebuild(broker, topics, tmp_path):
    folds_and_leaves(broker, topics, tmp_path, 200)
    group = f"{topics.prefix}.worker"

    admin = AdminClient(broker.config())

    def deleted() -> bool:
        return admin.delete_consumer_groups([group])[group].exception() is None

    wait_until(deleted)
    said = stops(broker, topics, tmp_path)
    assert "would count everything twice" in said
    assert "give the right --group" in said
    assert "run `taskstream replay rebuild --until latest --execute`" in said
    assert committed(broker.bootstrap_servers, topics) == 0

    rebuild_until_latest(broker, topics)
    assert committed(broker.bootstrap_servers, topics) == 200
    goes_on(broker, topics, tmp_path)


def test_offsets_that_were_set_back_stop_it_until_a_rebuild(broker, topics, tmp_path):
    folds_and_leaves(broker, topics, tmp_path, 200)
    set_offsets(broker, topics, dict.fromkeys(range(topics.partitions), 0))
    said = stops(broker, topics, tmp_path)
    assert "was set back to 0 by another program" in said
    assert "run `taskstream replay rebuild --until latest --execute`" in said
    assert committed(broker.bootstrap_servers, topics) == 0

    rebuild_until_latest(broker, topics)
    assert unmarked(broker, topics) == set()
    goes_on(broker, topics, tmp_path)


def test_offsets_that_version_0_1_committed_continue(broker, topics, tmp_path):
    fleet = Fleet(tasks=20, seed=1)
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(200)))
    with worker(broker.bootstrap_servers, topics, tmp_path, "before"):
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == 200)
    assert unmarked(broker, topics) == set()
    with ConsumerGroup(broker.config(), f"{topics.prefix}.worker") as group:
        found = group.committed(topics.progress.name, range(topics.partitions))
    set_offsets(broker, topics, {each: offset for each, offset in found.items() if offset is not None})
    assert unmarked(broker, topics) == set(range(topics.partitions))
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(200)))
    with worker(broker.bootstrap_servers, topics, tmp_path, "after"):
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == 400)
    assert unmarked(broker, topics) == set()


def rebuild_until_latest(broker: KafkaClient, topics: Topics) -> None:
    place = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
    rebuilt = CliRunner().invoke(cli, ["replay", "rebuild", *place, "--until", "latest", "--execute"])
    assert rebuilt.exit_code == 0, rebuilt.output


def goes_on(broker: KafkaClient, topics: Topics, folder: Path) -> None:
    """A worker folds 50 more events after 200."""
    fleet = Fleet(tasks=20, seed=2)
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(50)))
    with worker(broker.bootstrap_servers, topics, folder, "after"):
        wait_until(lambda: committed(broker.bootstrap_servers, topics) >= 250)


def set_offsets(broker: KafkaClient, topics: Topics, offsets: dict[int, int]) -> None:
    """Set the workers' offsets without metadata, as kafka-consumer-groups --reset-offsets does."""
    places = [TopicPartition(topics.progress.name, each, offset) for each, offset in offsets.items()]
    admin = AdminClient(broker.config())

    def is_set() -> bool:
        request = [ConsumerGroupTopicPartitions(f"{topics.prefix}.worker", places)]
        return all(each.exception() is None for each in admin.alter_consumer_group_offsets(request).values())

    wait_until(is_set)


def unmarked(broker: KafkaClient, topics: Topics) -> set[int]:
    with ConsumerGroup(broker.config(), f"{topics.prefix}.worker") as group:
        return group.unmarked(topics.progress.name, range(topics.partitions))


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"p/t/MIGRATE_LINUX_FILE", b"not ours"), (b"\xff", b"\0\0\0\0\x01"), (b"no key of ours", b"")],
)
def test_a_foreign_record_on_the_state_topic_stops_it(broker, topics, tmp_path, key, value):
    sender = producer(broker.bootstrap_servers)
    sender.produce(topics.state.name, value, key, 0)
    assert sender.flush(LIMIT_S) == 0
    assert f"{topics.state.name}-0 offset 0 is not a record of our state" in stops(broker, topics, tmp_path)


def test_state_under_a_wrong_key_stops_it(broker, topics, tmp_path):
    folds_and_leaves(broker, topics, tmp_path, 10)
    row = read_all(broker.bootstrap_servers, topics.state.name)[0]
    sender = producer(broker.bootstrap_servers)
    sender.produce(topics.state.name, row.value(), b"p/another/MIGRATE_LINUX_FILE", row.partition())
    assert sender.flush(LIMIT_S) == 0
    assert "its key is 'p/another/MIGRATE_LINUX_FILE'" in stops(broker, topics, tmp_path)


def test_missing_topics_stop_it(broker, topic_prefix, tmp_path):
    said = stops(broker, Topics(topic_prefix), tmp_path)
    assert f"{topic_prefix}.progress" in said
    assert f"does not exist; run `taskstream topics create --prefix {topic_prefix}`" in said


def test_unequal_numbers_of_partitions_stop_it(broker, topics, tmp_path):
    admin = AdminClient(broker.config())
    for answer in admin.create_partitions([NewPartitions(topics.progress.name, 3)]).values():
        answer.result()
    said = stops(broker, topics, tmp_path)
    assert "has 3 partitions and" in said
    assert "start with a new --prefix" in said


def test_a_port_that_is_taken_stops_it(broker, topics, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = stops(broker, topics, tmp_path, "--metrics-port", str(taken.getsockname()[1]))
    assert "Address already in use: choose another --metrics-port" in said


@pytest.mark.parametrize(
    "option",
    [
        ("--bucket", "0"),
        ("--commit-interval", "-1"),
        ("--reject-share", "2"),
        ("--keep", "0"),
        ("--metrics-port", "70000"),
        ("-X", "no.such.setting=1"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_a_usage_error(option):
    command = [sys.executable, "-m", "taskstream", "worker", "--bootstrap-servers", "127.0.0.1:1", *option]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_setting_that_transactions_forbid_stops_it(broker, topics, tmp_path):
    assert "librdkafka does not accept the producer's settings" in stops(
        broker, topics, tmp_path, "-X", "enable.idempotence=false"
    )


def test_of_two_workers_of_the_same_name_one_ends_and_the_other_goes_on(broker, topics, tmp_path):
    folders = (tmp_path / "one", tmp_path / "two")
    fleet = Fleet(tasks=50, seed=1)
    with ExitStack() as at_end:
        both = []
        for folder in folders:
            folder.mkdir()
            both.append(at_end.enter_context(worker(broker.bootstrap_servers, topics, folder, "same")))
        with arriving(broker.bootstrap_servers, topics, fleet, rate=100):
            wait_until(lambda: any(each.poll() is not None for each in both))
        ended = next(index for index, each in enumerate(both) if each.poll() is not None)
        assert both[ended].returncode == 1
        last = words(folders[ended], "same").strip().splitlines()[-1]
        assert "the same instance name" in last, last
        assert "give each worker its own --instance" in last, last
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == fleet.sent)
        assert both[1 - ended].poll() is None


@pytest.mark.parametrize("waits_for", ["Kafka", "loops"])
def test_a_stop_at_the_start_ends_it_at_once(broker, topics, tmp_path, waits_for):
    with socket.socket() as silent:  # it accepts, and answers nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        kafka = broker.bootstrap_servers if waits_for == "loops" else f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "taskstream", "worker", "--bootstrap-servers", kafka]
        command += ["--prefix", topics.prefix, "--metrics-port", "0"]
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cold")}
        log = tmp_path / "w.log"
        with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process:
            try:
                wait_until(lambda: ("loading_loops" if waits_for == "loops" else "metrics at") in log.read_text())
                process.send_signal(signal.SIGTERM)
                assert process.wait(LIMIT_S) == 0
            finally:
                process.kill()
    assert "stopped_at_start" in log.read_text().strip().splitlines()[-1]

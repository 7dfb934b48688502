"""`taskstream lag` on a real broker: counted from offsets that a plain client committed."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.ports import free_port
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import committed, measured, producer, worker
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

AGO_MS = 90_000


@pytest.fixture
def filled(broker: KafkaClient, topics: Topics) -> Topics:
    """Ten records in partition 0, each a second younger than the one before; none in partition 1."""
    sender = producer(broker.bootstrap_servers)
    now_ms = round(time.time() * 1000)
    for number in range(10):
        at_ms = now_ms - AGO_MS + number * 1000
        sender.produce(topics.progress.name, b"no record", b"p/t", 0, timestamp=at_ms)
    assert sender.flush(LIMIT_S) == 0
    return topics


def commit(broker: KafkaClient, topics: Topics, offset: int, group: str = "") -> None:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": group or f"{topics.prefix}.worker"})
    consumer.commit(offsets=[TopicPartition(topics.progress.name, 0, offset)], asynchronous=False)
    consumer.close()


def lag(broker: KafkaClient, topics: Topics, *more: str) -> Result:
    arguments = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
    return CliRunner().invoke(cli, ["lag", *arguments, "-o", "json", *more])


def rows(result: Result) -> list[tuple]:
    return [(row["partition"], row["committed"], row["end"], row["records"]) for row in json.loads(result.stdout)]


def test_records_and_seconds_from_the_committed_offset_to_the_end(broker, filled):
    commit(broker, filled, 4)
    result = lag(broker, filled)
    assert result.exit_code == 0
    assert rows(result) == [(0, 4, 10, 6), (1, None, 0, 0)]
    behind, level = (row["seconds"] for row in json.loads(result.stdout))
    assert 85 < behind < 86 + 60
    assert level == 0


def test_what_was_never_committed_counts_whole(broker, filled):
    assert rows(lag(broker, filled)) == [(0, None, 10, 10), (1, None, 0, 0)]


def test_who_is_level_is_not_behind(broker, filled):
    commit(broker, filled, 10)
    result = lag(broker, filled, "--max-records", "0", "--max-seconds", "0")
    assert result.exit_code == 0
    assert rows(result)[0] == (0, 10, 10, 0)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (["--max-records", "6"], 0),
        (["--max-records", "5"], 1),
        (["--max-seconds", "3600"], 0),
        (["--max-seconds", "80"], 1),
        (["--max-records", "5", "--max-seconds", "3600"], 1),
    ],
)
def test_beyond_a_limit_the_exit_code_is_1(broker, filled, limits, code):
    commit(broker, filled, 4)
    result = lag(broker, filled, *limits)
    assert result.exit_code == code
    assert ("behind, beyond" in result.stderr) == bool(code)


def test_offsets_that_retention_took_unread_are_told(broker, filled):
    commit(broker, filled, 4)
    admin = AdminClient(broker.config())  # named: one that is let go answers nobody
    (answer,) = admin.delete_records([TopicPartition(filled.progress.name, 0, 7)]).values()
    answer.result(LIMIT_S)
    assert json.loads(lag(broker, filled).stdout)[0]["gone"] == 3
    assert rows(lag(broker, filled))[0] == (0, 4, 10, 3)


def test_markers_of_transactions_are_no_records_to_wait_for(broker, topics):
    sender = Producer(broker.config(**{"transactional.id": topics.prefix}))
    sender.init_transactions(LIMIT_S)
    sender.begin_transaction()
    sender.produce(topics.progress.name, b"", b"p/t", 0)
    sender.commit_transaction(LIMIT_S)
    commit(broker, topics, 1)
    result = lag(broker, topics)
    assert rows(result)[0][:3] == (0, 1, 2)
    assert rows(result)[0][3] == 0


def test_other_groups_by_name_and_all_of_them(broker, filled):
    commit(broker, filled, 4)
    commit(broker, filled, 9, group=f"{filled.prefix}.other")
    named = json.loads(lag(broker, filled, "--group", f"{filled.prefix}.other").stdout)
    assert [row["records"] for row in named] == [1, 0]
    of_all = json.loads(lag(broker, filled, "--all-groups").stdout)
    assert {(row["group"].removeprefix(filled.prefix), row["records"]) for row in of_all if row["partition"] == 0} == {
        (".worker", 6),
        (".other", 1),
    }


def test_the_member_that_reads_a_partition_is_named(broker, filled, tmp_path):
    with worker(broker.bootstrap_servers, filled, tmp_path, "worker-a", "--reject-share", "1"):
        wait_until(lambda: committed(broker.bootstrap_servers, filled) == 10)
        wait_until(lambda: measured(tmp_path, "lag_records", "worker-a") == 0)
        members = {row["member"].partition("@")[0] for row in json.loads(lag(broker, filled).stdout)}
    assert members == {"worker-a"}


def test_a_table_for_people(broker, filled):
    arguments = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", filled.prefix]
    lines = CliRunner().invoke(cli, ["lag", *arguments]).stdout.splitlines()
    assert lines[0].split()[:4] == ["GROUP", "TOPIC", "PARTITION", "COMMITTED"]
    assert lines[1].split()[1:6] == [filled.progress.name, "0", "-", "10", "10"]


def test_no_topic_is_one_sentence(broker, topic_prefix):
    result = lag(broker, Topics(topic_prefix))
    assert result.exit_code == 1
    assert topic_prefix in result.stderr
    assert "Traceback" not in result.output


def test_no_kafka_is_one_sentence(topics):
    result = lag(KafkaClient(f"127.0.0.1:{free_port()}"), topics)
    assert result.exit_code == 1
    assert "does Kafka listen" in result.stderr


def test_both_kinds_of_naming_groups_are_wrong_usage(broker, topics):
    assert lag(broker, topics, "--group", "x", "--all-groups").exit_code == 2

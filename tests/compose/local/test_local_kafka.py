"""The local Kafka: it starts, keeps its data over stops and kills, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from taskstream.compose.errors import BrokerStartError, PortInUseError
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local import local_kafka
from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.local.ports import free_port, free_ports
from tests.processes import is_alive
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow


def create_topic(client: KafkaClient, name: str) -> None:
    admin = AdminClient(client.config())
    for created in admin.create_topics([NewTopic(name, 2, 1)]).values():
        created.result(LIMIT_S)


def write(client: KafkaClient, topic: str, value: bytes, compression: str = "none") -> None:
    producer = Producer(client.config(acks="all", **{"compression.type": compression}))
    producer.produce(topic, value, partition=0)
    assert producer.flush(LIMIT_S) == 0


def read_one(client: KafkaClient, topic: str, group: str) -> bytes | None:
    consumer = Consumer(client.config(**{"group.id": group, "auto.offset.reset": "earliest"}))
    consumer.subscribe([topic])
    try:
        (message,) = consumer.consume(1, LIMIT_S)
        return message.value()
    finally:
        consumer.close()


def test_a_record_can_be_read_by_a_consumer_group(broker, topic_prefix):
    create_topic(broker, f"{topic_prefix}.t")
    write(broker, f"{topic_prefix}.t", b"here")
    assert read_one(broker, f"{topic_prefix}.t", topic_prefix) == b"here"


def test_a_transaction_can_be_committed(broker, topic_prefix):
    create_topic(broker, f"{topic_prefix}.t")
    producer = Producer(broker.config(**{"transactional.id": topic_prefix}))
    producer.init_transactions(LIMIT_S)
    producer.begin_transaction()
    producer.produce(f"{topic_prefix}.t", b"once", partition=0)
    producer.commit_transaction(LIMIT_S)
    assert read_one(broker, f"{topic_prefix}.t", topic_prefix) == b"once"


def test_topics_are_not_created_automatically(private_kafka):
    write_to_nowhere = Producer(private_kafka.client.config(**{"message.timeout.ms": 1000}))
    write_to_nowhere.produce("nowhere", b"lost")
    write_to_nowhere.flush(10)
    assert "nowhere" not in AdminClient(private_kafka.client.config()).list_topics(timeout=60).topics


def test_a_killed_broker_restarts_with_its_port_and_data(private_kafka):
    create_topic(private_kafka.client, "t")
    write(private_kafka.client, "t", b"kept")
    address = private_kafka.bootstrap_servers
    private_kafka.kill()
    private_kafka.start()
    assert private_kafka.bootstrap_servers == address
    assert read_one(private_kafka.client, "t", "g") == b"kept"


def test_a_killed_brokers_temporary_files_are_in_its_folder_until_it_starts_again(private_kafka):
    create_topic(private_kafka.client, "t")
    write(private_kafka.client, "t", b"value" * 1000, "lz4")
    left = list((private_kafka.data_dir / "tmp").glob("liblz4-*"))
    assert left
    private_kafka.kill()
    private_kafka.start()
    assert not any(each.exists() for each in left)


def test_a_stopped_broker_restarts_with_its_data(private_kafka):
    create_topic(private_kafka.client, "t")
    write(private_kafka.client, "t", b"kept")
    private_kafka.restart()
    assert read_one(private_kafka.client, "t", "g") == b"kept"


def test_a_folder_can_be_reused_with_other_ports(private_kafka):
    create_topic(private_kafka.client, "t")
    write(private_kafka.client, "t", b"kept")
    private_kafka.kill()
    with LocalKafka(private_kafka.data_dir, cache_dir=default_cache_dir(os.environ)) as other:
        assert other.port != private_kafka.port
        assert read_one(other.client, "t", "g") == b"kept"


def test_a_second_broker_in_the_same_folder_is_refused(private_kafka):
    second = LocalKafka(private_kafka.data_dir, cache_dir=default_cache_dir(os.environ), handover_timeout_s=0)
    with pytest.raises(BrokerStartError, match="another Kafka uses the folder"):
        second.start()
    assert private_kafka.is_running
    assert not second.is_running


def test_a_taken_port_is_named(private_kafka, tmp_path):
    second = LocalKafka(tmp_path / "second", cache_dir=default_cache_dir(os.environ), port=private_kafka.port)
    with pytest.raises(PortInUseError, match=str(private_kafka.port)):
        second.start()


def test_a_broker_ends_when_its_parent_is_killed(tmp_path, kafka_cache_dir):
    parent_program = f"""
import sys, time
from pathlib import Path
from taskstream.compose.local.local_kafka import LocalKafka
kafka = LocalKafka(Path({str(tmp_path)!r}), cache_dir=Path({str(kafka_cache_dir)!r}))
kafka.start()
print(kafka.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent_program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        broker_pid = int(parent.stdout.readline())
        assert is_alive(broker_pid)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(broker_pid))


def test_a_stopped_broker_leaves_no_process(tmp_path, kafka_cache_dir):
    with LocalKafka(tmp_path, cache_dir=kafka_cache_dir) as kafka:
        session = kafka.pid
    wait_until(lambda: not processes_of_session(session))


def processes_of_session(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] != b"Z":
            found.append(int(stat.parent.name))
    return found


def test_a_port_that_is_taken_before_kafka_listens_is_replaced(kafka_cache_dir, tmp_path, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        chosen = [[free_port(), other.getsockname()[1]]]
        monkeypatch.setattr(local_kafka, "free_ports", lambda count: chosen.pop() if chosen else free_ports(count))
        with LocalKafka(tmp_path, cache_dir=kafka_cache_dir, heap="512m") as kafka:
            assert kafka.is_running
        assert not chosen
        assert "Address already in use" in kafka.log_file.read_text()


def test_a_controller_port_that_was_given_is_not_replaced_and_the_reason_comes_first(kafka_cache_dir, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        kafka = LocalKafka(tmp_path, cache_dir=kafka_cache_dir, port=free_port(), controller_port=taken, heap="512m")
        with pytest.raises(BrokerStartError, match=r"(?s)exit code 1; its first errors:.*already in use"):
            kafka.start()

"""What an administrator does to the topics under a worker, or while none runs: it ends with a sentence and its remedy."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.brokers import set_topic
from tests.pipeline.streams import Fleet, committed, newest_by_key, read_all, send, words, worker
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow
EVENTS = 200


@pytest.fixture
def admin(broker: KafkaClient) -> AdminClient:
    return AdminClient(broker.config())


def add_partitions(admin: AdminClient, count: int, *names: str) -> None:
    for answer in admin.create_partitions([NewPartitions(name, count) for name in names]).values():
        answer.result(LIMIT_S)


def delete(admin: AdminClient, *names: str) -> None:
    for answer in admin.delete_topics(list(names)).values():
        answer.result(LIMIT_S)
    wait_until(lambda: not set(names) & set(admin.list_topics(timeout=60).topics))


def recreate(broker: KafkaClient, admin: AdminClient, topics: Topics, name: str) -> None:
    """Delete a topic and create it again, as it is declared."""
    delete(admin, name)
    wait_until(lambda: create_topics(broker.config(), topics) == [name])


def fold_some(broker: KafkaClient, topics: Topics, folder: Path, seed: int = 1) -> None:
    """Events are folded by a worker, which stops."""
    before = max(committed(broker.bootstrap_servers, topics), 0)
    fleet = Fleet(tasks=20, seed=seed)
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(EVENTS)))
    with worker(broker.bootstrap_servers, topics, folder, "before"):
        wait_until(
            lambda: committed(broker.bootstrap_servers, topics) == before + EVENTS, lambda: words(folder, "before")
        )


def ends_with(
    broker: KafkaClient, topics: Topics, folder: Path, done_to_it: Callable[[], None] | None = None, name: str = "w"
) -> str:
    """The last line of a worker that ends with exit code 1; `done_to_it` while it runs, and has read everything."""
    with worker(broker.bootstrap_servers, topics, folder, name) as process:
        if done_to_it is not None:
            fleet = Fleet(tasks=20, seed=7)
            before = committed(broker.bootstrap_servers, topics)
            send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(EVENTS)))
            wait_until(
                lambda: committed(broker.bootstrap_servers, topics) == before + EVENTS, lambda: words(folder, name)
            )
            done_to_it()
        assert process.wait(LIMIT_S) == 1, words(folder, name)
    said = words(folder, name)
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("Error: "), said
    return last


def state_of(broker: KafkaClient, topics: Topics) -> dict[str, bytes]:
    return newest_by_key(read_all(broker.bootstrap_servers, topics.state.name))


def test_partitions_added_under_a_worker_end_it(broker, topics, admin, tmp_path):
    said = ends_with(broker, topics, tmp_path, lambda: add_partitions(admin, 3, topics.progress.name))
    assert f"{topics.progress.name} has 3 partitions now and had 2: the number of partitions is permanent" in said
    assert "`taskstream replay copy --by-key --execute --to-topic PREFIX.progress`" in said
    other = Topics(f"{topics.prefix}-other", partitions=3)
    create_topics(broker.config(), other)
    arguments = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix, "--execute"]
    copied = CliRunner().invoke(cli, ["replay", "copy", *arguments, "--by-key", "--to-topic", other.progress.name])
    assert copied.exit_code == 0, copied.output
    with worker(broker.bootstrap_servers, other, tmp_path, "other"):
        wait_until(lambda: committed(broker.bootstrap_servers, other) == EVENTS, lambda: words(tmp_path, "other"))
    assert state_of(broker, other).keys() == state_of(broker, topics).keys()


def test_partitions_added_to_all_topics_while_no_worker_ran_end_it_at_its_start(broker, topics, admin, tmp_path):
    fold_some(broker, topics, tmp_path)
    add_partitions(admin, 3, topics.progress.name, topics.state.name)
    said = ends_with(broker, topics, tmp_path)
    assert (
        f"{topics.state.name} has 3 partitions now and had 2 at the last commit of group {topics.prefix}.worker" in said
    )
    assert "`taskstream replay copy --by-key --execute --to-topic PREFIX.progress`" in said


def test_a_state_topic_made_anew_ends_the_worker_until_the_state_is_rebuilt(broker, topics, admin, tmp_path):
    fold_some(broker, topics, tmp_path)
    said = ends_with(broker, topics, tmp_path, lambda: recreate(broker, admin, topics, topics.state.name))
    assert f"{topics.state.name} was deleted and created again" in said
    assert "stop all workers and run `taskstream replay rebuild --execute`" in said
    again = ends_with(broker, topics, tmp_path, name="again")
    assert f"after the last commit of group {topics.prefix}.worker: its rows are gone" in again
    arguments = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix, "--execute"]
    rebuilt = CliRunner().invoke(cli, ["replay", "rebuild", *arguments])
    assert rebuilt.exit_code == 0, rebuilt.output
    assert len(state_of(broker, topics)) == 20
    fold_some(broker, topics, tmp_path, seed=3)


def test_events_made_anew_end_the_worker_and_the_remedy_begins_anew(broker, topics, admin, tmp_path):
    said = ends_with(broker, topics, tmp_path, lambda: recreate(broker, admin, topics, topics.progress.name))
    assert f"{topics.progress.name} was deleted and created again" in said
    assert f"delete {topics.state.name} and the workers' group, and run `taskstream topics create`" in said
    delete(admin, topics.state.name)
    group = f"{topics.prefix}.worker"
    wait_until(lambda: admin.delete_consumer_groups([group])[group].exception() is None)
    create_topics(broker.config(), topics)
    fold_some(broker, topics, tmp_path)


def test_retention_that_overtakes_a_suspended_worker_ends_it(broker, topics, admin, tmp_path):
    with worker(broker.bootstrap_servers, topics, tmp_path) as process:
        wait_until(lambda: "assigned" in words(tmp_path))
        process.send_signal(signal.SIGSTOP)
        fleet = Fleet(tasks=20, seed=1)
        send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(EVENTS)))
        ends = [TopicPartition(topics.progress.name, partition, -1) for partition in range(topics.partitions)]
        for answer in admin.delete_records(ends).values():
            answer.result(LIMIT_S)
        process.send_signal(signal.SIGCONT)
        assert process.wait(LIMIT_S) == 1, words(tmp_path)
    last = words(tmp_path).strip().splitlines()[-1]
    assert f"Error: {topics.progress.name}-" in last
    assert "Retention deleted events that were not folded" in last
    assert "raise retention.ms" in last


def test_offsets_cannot_be_deleted_under_a_worker_and_end_one_that_was_away(broker, topics, admin, tmp_path):
    fold_some(broker, topics, tmp_path)
    group = f"{topics.prefix}.worker"

    def deletion() -> str:
        error = admin.delete_consumer_groups([group])[group].exception()
        return "" if error is None else error.args[0].name()

    with worker(broker.bootstrap_servers, topics, tmp_path) as process:
        wait_until(lambda: "assigned" in words(tmp_path))
        wait_until(lambda: deletion() == "NON_EMPTY_GROUP")
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: deletion() == "")
        process.send_signal(signal.SIGCONT)
        assert process.wait(LIMIT_S) == 1, words(tmp_path)
    last = words(tmp_path).strip().splitlines()[-1]
    assert "its offsets expired or were deleted" in last
    assert "would count everything twice" in last


@pytest.mark.parametrize(
    ("of", "wrong", "right"),
    [("progress", "compact", "delete"), ("state", "delete", "compact"), ("rates", "compact", "delete")],
)
def test_a_wrong_cleanup_policy_ends_a_worker_at_its_start(broker, topics, admin, tmp_path, of, wrong, right):
    name = getattr(topics, of).name
    set_topic(broker, name, "cleanup.policy", wrong)
    said = ends_with(broker, topics, tmp_path)
    assert f"Error: {name} cleanup.policy is '{wrong}', declared '{right}'" in said
    assert f"--alter --topic {name} --add-config cleanup.policy={right}`" in said
    arguments = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix, "--partitions", "2"]
    checked = CliRunner().invoke(cli, ["topics", "check", *arguments])
    assert checked.exit_code == 1
    assert f"{name} cleanup.policy is '{wrong}'" in checked.stderr
    assert f"bad      topics        {name} cleanup.policy is" in CliRunner().invoke(cli, ["doctor", *arguments]).stdout


def test_the_brokers_time_on_the_reports_is_noted_and_changes_no_row(broker, topics, admin, tmp_path):
    set_topic(broker, topics.progress.name, "message.timestamp.type", "LogAppendTime")
    fleet = Fleet(tasks=20, seed=1, now_us=1_700_000_000_000_000)
    send(broker.bootstrap_servers, topics, (fleet.event() for _ in range(EVENTS)))
    with worker(broker.bootstrap_servers, topics, tmp_path):
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == EVENTS, lambda: words(tmp_path))
    assert "message.timestamp.type is 'LogAppendTime', declared 'CreateTime'" in words(tmp_path)
    assert read_all(broker.bootstrap_servers, topics.rejected.name) == []
    assert len(state_of(broker, topics)) == 20
    arguments = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix, "--partitions", "2"]
    checked = CliRunner().invoke(cli, ["topics", "check", *arguments])
    assert checked.exit_code == 0
    assert f"--alter --topic {topics.progress.name} --add-config message.timestamp.type=CreateTime" in checked.stderr

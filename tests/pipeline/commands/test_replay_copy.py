"""Records copied to another topic, another cluster and a file, and back: every part of them as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient, NewTopic

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.consumer.replay.archive import ArchiveWriter, Origin
from taskstream.schemas.topics import Topics
from tests.pipeline.commands.replays import answer, command, fill, more, put, replay
from tests.pipeline.commands.test_replay import delete_before
from tests.pipeline.streams import read_all
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

EVENTS = 3_000
HOUR_AGO_MS = (round(time.time()) - 3600) * 1000
ODD_HEADERS = [("ce_id", b"1"), ("ce_id", b"2"), ("empty", b""), ("none", None)]


@pytest.fixture
def partitions() -> int:
    return 3


@pytest.fixture
def other(broker: KafkaClient, topics: Topics) -> str:
    """A topic to copy to."""
    return make(broker, f"{topics.prefix}.copied", topics.partitions)


def make(broker: KafkaClient, name: str, partitions: int, **config: str) -> str:
    admin = AdminClient(broker.config())
    admin.create_topics([NewTopic(name, partitions, config=config)])[name].result()
    wait_until(lambda: len(admin.list_topics(name, timeout=60).topics[name].partitions) == partitions)
    return name


def odd(broker: KafkaClient, topics: Topics) -> None:
    """Records that are none of ours, between the others."""
    name = topics.progress.name
    put(broker, name, b"p/odd", b"\x07broken", 1, timestamp=HOUR_AGO_MS, headers=ODD_HEADERS)
    put(broker, name, None, b"no key", 1, timestamp=HOUR_AGO_MS + 1)
    put(broker, name, b"p/tombstone", None, 1, timestamp=HOUR_AGO_MS + 2)
    put(broker, name, b"", b"", 1, timestamp=HOUR_AGO_MS + 3)


def parts(messages: list[Message]) -> dict[int, list[tuple]]:
    """By partition, in order, all that a record has."""
    found: dict[int, list[tuple]] = {}
    for each in messages:
        record = (each.key(), each.value(), each.timestamp()[1], each.headers() or [])
        found.setdefault(each.partition(), []).append(record)
    return found


def on(broker: KafkaClient, topic: str) -> dict[int, list[tuple]]:
    return parts(read_all(broker.bootstrap_servers, topic))


def test_a_copy_on_the_same_cluster_is_equal_in_every_part(broker, topics, other):
    fleet = fill(broker, topics, EVENTS)
    odd(broker, topics)
    more(broker, topics, fleet, 200)

    result = replay(broker, topics, "copy", "--to-topic", other, "--execute", "-o", "json")

    assert result.exit_code == 0, result.output
    assert on(broker, other) == on(broker, topics.progress.name)
    assert sum(each["records"] for each in answer(result)) == EVENTS + 204


def test_it_is_a_dry_run_that_counts_unless_it_is_told_to_execute(broker, topics, other, tmp_path):
    fill(broker, topics, EVENTS)
    path = tmp_path / "records.parquet"

    for where in (("--to-topic", other), ("--to-file", str(path))):
        result = replay(broker, topics, "copy", *where, "-o", "json")
        assert result.exit_code == 0, result.output
        assert sum(each["records"] for each in answer(result)) == EVENTS
        assert "dry run, nothing was written" in result.stderr
    assert on(broker, other) == {}
    assert list(tmp_path.iterdir()) == []


def test_through_a_file_and_back_they_are_equal_in_every_part(broker, topics, other, tmp_path):
    fleet = fill(broker, topics, EVENTS)
    odd(broker, topics)
    more(broker, topics, fleet, 200)
    path = tmp_path / "records.parquet"

    assert replay(broker, topics, "copy", "--to-file", str(path), "--execute").exit_code == 0
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    result = load(broker, path, "--to-topic", other, "--execute", "-o", "json")

    assert result.exit_code == 0, result.output
    assert on(broker, other) == on(broker, topics.progress.name)
    assert sum(each["records"] for each in answer(result)) == EVENTS + 204


def test_a_load_is_a_dry_run_unless_it_is_told_to_execute(broker, topics, other, tmp_path):
    path = filed(broker, topics, tmp_path)

    result = load(broker, path, "--to-topic", other)

    assert (result.exit_code, on(broker, other)) == (0, {})
    assert "dry run" in result.stderr


def test_the_first_records_of_a_file_can_be_left_out(broker, topics, other, tmp_path):
    path = filed(broker, topics, tmp_path)

    assert load(broker, path, "--to-topic", other, "--skip", "2500", "--execute").exit_code == 0

    assert sum(map(len, on(broker, other).values())) == EVENTS - 2500


def test_the_file_is_parquet_that_others_read(broker, topics, tmp_path):
    path = filed(broker, topics, tmp_path)

    frame = pl.read_parquet(path)

    assert frame.height == EVENTS
    assert set(frame["topic"].unique()) == {topics.progress.name}
    assert frame.columns == ["topic", "partition", "offset", "timestamp_ms", "key", "value", "headers"]


def test_another_cluster_gets_the_same_topic(broker, topics, private_kafka, tmp_path):
    create_topics(private_kafka.client.config(), topics, 1)
    fill(broker, topics, EVENTS)
    odd(broker, topics)
    there = private_kafka.client

    result = replay(broker, topics, "copy", "--to-bootstrap", there.bootstrap_servers, "--execute")

    assert result.exit_code == 0, result.output
    assert on(there, topics.progress.name) == on(broker, topics.progress.name)


def test_a_project_or_a_task_alone(broker, topics, other, tmp_path):
    fill(broker, topics, EVENTS)
    all_keys = [each.key() for each in read_all(broker.bootstrap_servers, topics.progress.name)]

    replay(broker, topics, "copy", "--project", "project-1", "--to-topic", other, "--execute")
    one = replay(broker, topics, "copy", "--task", "task-000003", "--to-file", str(tmp_path / "x"), "-o", "json")

    copied = [each.key() for each in read_all(broker.bootstrap_servers, other)]
    assert sorted(copied) == sorted(key for key in all_keys if key.startswith(b"project-1/"))
    assert sum(each["records"] for each in answer(one)) == sum(key.endswith(b"/task-000003") for key in all_keys)


def test_a_range_by_offsets_and_one_by_time(broker, topics, other, tmp_path):
    odd(broker, topics)
    (tmp_path / "from.csv").write_text(f"{topics.progress.name},1,1\n")
    (tmp_path / "to.csv").write_text(f"{topics.progress.name},1,3\n")
    ends = ("--from", f"@{tmp_path / 'from.csv'}", "--to", f"@{tmp_path / 'to.csv'}")

    replay(broker, topics, "copy", *ends, "--to-topic", other, "--execute")
    later = replay(broker, topics, "copy", "--from", "PT30M", "--to-topic", other, "-o", "json")

    assert [each[0] for each in on(broker, other)[1]] == [None, b"p/tombstone"]
    assert sum(each["records"] for each in answer(later)) == 0


def test_a_file_of_one_partition_knows_how_many_there_were(broker, topics, other, tmp_path):
    odd(broker, topics)
    (tmp_path / "to.csv").write_text(f"{topics.progress.name},1,2\n")
    path = tmp_path / "one.parquet"

    assert (
        replay(broker, topics, "copy", "--to", f"@{tmp_path / 'to.csv'}", "--to-file", str(path), "--execute").exit_code
        == 0
    )
    assert load(broker, path, "--to-topic", other, "--execute").exit_code == 0

    assert on(broker, other) == {1: on(broker, topics.progress.name)[1][:2]}


def test_an_empty_range_makes_an_empty_file_that_loads(broker, topics, other, tmp_path):
    path = tmp_path / "none.parquet"

    assert replay(broker, topics, "copy", "--to-file", str(path), "--execute").exit_code == 0
    result = load(broker, path, "--to-topic", other, "--execute")
    assert result.exit_code == 0, result.output
    assert on(broker, other) == {}


def test_offsets_that_retention_took_are_told_and_the_rest_is_copied(broker, topics, other, tmp_path):
    fill(broker, topics, EVENTS)
    delete_before(broker, topics.progress.name, 0, 10)
    (tmp_path / "from.csv").write_text("".join(f"{topics.progress.name},{number},4\n" for number in range(3)))

    result = replay(
        broker, topics, "copy", "--from", f"@{tmp_path / 'from.csv'}", "--to-topic", other, "--execute", "-o", "json"
    )

    assert result.exit_code == 3
    assert "6 offsets of the range are no longer on the topic" in result.stderr
    assert sum(each["records"] for each in answer(result)) == EVENTS - 10 - 4 - 4


def test_a_topic_is_not_copied_onto_itself(broker, topics):
    name = topics.progress.name
    for where in (["--to-topic", name], ["--to-bootstrap", broker.bootstrap_servers.replace("127.0.0.1", "localhost")]):
        result = replay(broker, topics, "copy", *where, "--execute")
        assert (result.exit_code, "onto itself" in result.stderr) == (1, True)


def test_another_number_of_partitions_needs_a_word(broker, topics):
    fill(broker, topics, 500)
    narrow = make(broker, f"{topics.prefix}.narrow", 2)

    refused = replay(broker, topics, "copy", "--to-topic", narrow, "--execute")
    assert (refused.exit_code, "--by-key" in refused.stderr) == (1, True)

    assert replay(broker, topics, "copy", "--to-topic", narrow, "--by-key", "--execute").exit_code == 0
    assert {key for lines in on(broker, narrow).values() for key, *_ in lines} == {
        key for lines in on(broker, topics.progress.name).values() for key, *_ in lines
    }


def test_a_file_that_is_there_stays(broker, topics, tmp_path):
    path = tmp_path / "mine"
    path.write_text("mine")

    result = replay(broker, topics, "copy", "--to-file", str(path), "--execute")

    assert (result.exit_code, path.read_text()) == (1, "mine")
    assert replay(broker, topics, "copy", "--to-file", str(path), "--execute", "--overwrite").exit_code == 0


def test_a_file_that_was_cut_off_or_changed_is_told(broker, topics, other, tmp_path):
    whole = filed(broker, topics, tmp_path).read_bytes()
    cut, changed, foreign = tmp_path / "cut", tmp_path / "changed", tmp_path / "foreign"
    cut.write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    changed.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    pl.DataFrame({"a": [1]}).write_parquet(foreign)

    for path, why in ((cut, "not a complete Parquet file"), (changed, "is damaged"), (foreign, "not one that")):
        result = load(broker, path, "--to-topic", other)
        assert (result.exit_code, why in result.stderr) == (1, True), result.stderr
    assert load(broker, tmp_path / "nowhere", "--to-topic", other).exit_code == 1


def test_a_topic_that_stamps_records_itself_is_told(broker, topics):
    stamping = make(broker, f"{topics.prefix}.stamping", 3, **{"message.timestamp.type": "LogAppendTime"})

    result = replay(broker, topics, "copy", "--to-topic", stamping)

    assert "Kafka replaces the timestamps of the records" in result.stderr


def test_records_older_than_the_topic_keeps_are_loaded_only_on_request(broker, topics, tmp_path):
    """Kafka acknowledges such a record, and deletes it at its next look at the segments."""
    fleet = fill(broker, topics, 10)
    odd(broker, topics)  # four records, an hour old
    more(broker, topics, fleet, 10)
    path = tmp_path / "records.parquet"
    assert replay(broker, topics, "copy", "--to-file", str(path), "--execute").exit_code == 0
    short = make(broker, f"{topics.prefix}.short", 3, **{"retention.ms": "60000", "file.delete.delay.ms": "3600000"})
    target = ("--to-topic", short)

    for more_words in ((), ("--execute",)):
        refused = load(broker, path, *target, *more_words)
        assert (refused.exit_code, on(broker, short)) == (1, {})
        assert "4 of 24 records are older than" in refused.stderr
        assert "retention.ms=60000" in refused.stderr
        assert "--expired" in refused.stderr
    assert load(broker, path, *target, "--skip", "24", "--execute").exit_code == 0
    assert load(broker, path, *target, "--expired", "--execute").exit_code == 0
    copied = replay(broker, topics, "copy", *target)
    assert (copied.exit_code, f"{short} has retention.ms=60000" in copied.stderr) == (0, True)


@pytest.mark.parametrize(
    "config",
    [{"cleanup.policy": "compact", "retention.ms": "60000"}, {"retention.ms": "-1"}],
    ids=["compacted", "kept for ever"],
)
def test_a_topic_that_deletes_nothing_for_its_age_takes_records_of_any_age(broker, topics, tmp_path, config):
    put(broker, topics.progress.name, b"p/t", b"old", 1, timestamp=HOUR_AGO_MS)
    path = tmp_path / "records.parquet"
    assert replay(broker, topics, "copy", "--to-file", str(path), "--execute").exit_code == 0
    keeping = make(broker, f"{topics.prefix}.keeping", 3, **config)

    assert load(broker, path, "--to-topic", keeping, "--execute").exit_code == 0

    assert on(broker, keeping) == on(broker, topics.progress.name)


def test_two_copies_to_one_file_do_not_mix(broker, topics, tmp_path):
    path = tmp_path / "records"
    with ArchiveWriter(path, Origin("t", 1, {})):
        result = replay(broker, topics, "copy", "--to-file", str(path), "--execute")

    assert (result.exit_code, "another copy is writing" in result.stderr) == (1, True)
    assert path.exists()


def test_a_target_that_is_not_there_is_told(broker, topics):
    result = replay(broker, topics, "copy", "--to-topic", f"{topics.prefix}.nowhere", "--execute")

    assert result.exit_code == 1
    assert f"{topics.prefix}.nowhere" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--to-topic", "a", "--to-file", "b"],
        ["--to-file", "b", "--topic", "nonsense"],
        ["--to-file", "b", "--from", "yesterday"],
        ["--to-file", "b", "--rate", "0"],
        ["--to-topic", "a", "--to-config", "nowhere"],
        ["--to-bootstrap", "a:1", "--to-config", "nowhere"],
        ["--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_wrong_usage(broker, words):
    assert replay(broker, Topics("never-there"), "copy", *words).exit_code == 2


def test_a_rate_is_kept_to_and_a_stopped_copy_tells_the_rest(broker, topics, other, tmp_path):
    fill(broker, topics, EVENTS)
    words = command(broker, topics, "copy", "--to-topic", other, "--rate", "200", "--execute")
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "taskstream", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: on(broker, other) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        try:
            told = process.communicate(timeout=LIMIT_S)[1]
        finally:
            process.kill()
    copied = sum(map(len, on(broker, other).values()))

    assert process.returncode == 130, told
    assert 0 < copied <= 200 * (time.monotonic() - began) + 50
    assert copied < EVENTS
    rest = tmp_path / "rest.csv"
    rest.write_text("\n".join(line for line in told.splitlines() if line.startswith(topics.progress.name)))
    assert replay(broker, topics, "copy", "--from", f"@{rest}", "--to-topic", other, "--execute").exit_code == 0
    assert on(broker, other) == on(broker, topics.progress.name)


def filed(broker: KafkaClient, topics: Topics, folder: Path) -> Path:
    """A file of EVENTS records."""
    fill(broker, topics, EVENTS)
    path = folder / "records.parquet"
    assert replay(broker, topics, "copy", "--to-file", str(path), "--execute").exit_code == 0
    return path


def load(broker: KafkaClient, path: Path, *words: str) -> Result:
    arguments = ["replay", "load", str(path), "--bootstrap-servers", broker.bootstrap_servers, *words]
    return CliRunner().invoke(cli, arguments)

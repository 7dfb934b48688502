"""`taskstream lake` on a real broker: what a plain reader counts is what the topics have, also after kills."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.catalog import named
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.librdkafka.unproven_delivery import ONE_IN_FLIGHT
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import IDS, Fleet, producer, read_all
from tests.waiting import ATTEMPTS, LIMIT_S, wait_until

pytestmark = pytest.mark.slow

NOUNS = ("progress", "rates", "signals")
EXAMPLES = Path("schemas/examples")


def example(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))["typical"]
    return found


def send_both_versions(broker: KafkaClient, topics: Topics) -> dict[str, Any]:
    """A report of each version of the schema, with a broken record between them; gives the newer one."""
    old, new = (RecordWriter(IDS, named(f"ProgressReported.v{each}")) for each in (1, 2))
    newer = example("ProgressReported.v2")
    sending = producer(broker.bootstrap_servers)
    for value in (old.write(example("ProgressReported.v1")), b"\x07 no record", new.write(newer)):
        sending.produce(topics.progress.name, value, b"p/t", 0)
    assert sending.flush(LIMIT_S) == 0
    return newer


def fill(broker: KafkaClient, topics: Topics, count: int, seed: int = 1) -> None:
    """Reports of three projects, over two days; and the transactions of a worker, of which every third is aborted."""
    sending, fleet = producer(broker.bootstrap_servers), Fleet(20, seed, step_us=80_000_000)
    for _ in range(count):
        key, value = fleet.event()
        sending.produce(topics.progress.name, value, key)
    assert sending.flush(LIMIT_S) == 0
    own = {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": f"{topics.prefix}-{seed}"}
    writer = Producer(own | ONE_IN_FLIGHT)
    writer.init_transactions(LIMIT_S)
    for number in range(6):
        writer.begin_transaction()
        for noun, name in (("rates", "RateWindow.v1"), ("signals", "SignalRaised.v1")):
            encode = RecordWriter(IDS, named(name)).write
            for each in range(5):
                value = encode(example(name) | {"project_id": f"p{each % 2}"})
                writer.produce(f"{topics.prefix}.{noun}", value, f"k{number}", partition=number % topics.partitions)
        writer.flush()
        writer.abort_transaction(LIMIT_S) if number % 3 == 2 else writer.commit_transaction(LIMIT_S)


def arguments(broker: KafkaClient, topics: Topics, folder: Path, *more: str) -> list[str]:
    kafka = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
    return ["lake", *kafka, "--to", str(folder), *more]


def once(broker: KafkaClient, topics: Topics, folder: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, arguments(broker, topics, folder, "--once", *more))


def in_lake(folder: Path, noun: str) -> list[tuple[int, int]]:
    """Partition and offset of each record, as DuckDB finds them by a glob."""
    if not list(folder.glob(f"{noun}/*/*/*.parquet")):
        return []
    query = f"select partition, \"offset\" from read_parquet('{folder}/{noun}/**/*.parquet') order by all"
    return duckdb.sql(query).fetchall()


def on_topic(broker: KafkaClient, topics: Topics, noun: str) -> list[tuple[int, int]]:
    messages = read_all(broker.bootstrap_servers, f"{topics.prefix}.{noun}")
    return sorted((each.partition(), each.offset()) for each in messages)


def require_equal(broker: KafkaClient, topics: Topics, folder: Path) -> None:
    for noun in NOUNS:
        assert in_lake(folder, noun) == on_topic(broker, topics, noun), noun


def is_equal(broker: KafkaClient, topics: Topics, folder: Path) -> bool:
    return all(in_lake(folder, noun) == on_topic(broker, topics, noun) for noun in NOUNS)


def test_each_record_is_in_the_lake_once_in_three_plain_readers(broker, topics, tmp_path):
    fill(broker, topics, 2_000)

    result = once(broker, topics, tmp_path, "--piece-rows", "300")

    assert result.exit_code == 0, result.output
    require_equal(broker, topics, tmp_path)
    assert f"2,000 of {topics.progress.name}" in result.stderr
    assert len(on_topic(broker, topics, "rates")) == 20, "without those of aborted transactions"
    frame = pl.read_parquet(f"{tmp_path}/progress/", hive_partitioning=True)
    assert frame.height == 2_000
    assert (frame["day"] == frame["received_at"].dt.date()).all()
    assert (frame["project"] == frame["project_id"]).all()
    dataset = ds.dataset(tmp_path / "progress", partitioning="hive")
    assert dataset.count_rows() == 2_000
    assert dataset.schema.field("replicatesize").metadata[b"unit"] == b"B"
    days = duckdb.sql(f"select distinct day from read_parquet('{tmp_path}/progress/**/*.parquet')").fetchall()
    assert len(days) > 1


def test_a_second_run_adds_what_is_new_and_a_third_nothing(broker, topics, tmp_path):
    fill(broker, topics, 500)
    assert once(broker, topics, tmp_path).exit_code == 0
    fill(broker, topics, 300, seed=2)

    assert once(broker, topics, tmp_path).exit_code == 0
    require_equal(broker, topics, tmp_path)
    files = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*.parquet")}
    assert once(broker, topics, tmp_path).exit_code == 0

    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*.parquet")} == files


def kill_again_and_again(
    times: int,
    start: Callable[[], subprocess.Popen[bytes]],
    *,
    written: Callable[[], set[Any]],
    enough: Callable[[], int],
    seen: Callable[[], list[tuple[int, int]]],
    forget: Callable[[], None],
) -> None:
    """Kill the program so many times, each when `enough()` more has been `written`; no record may be `seen` twice then.

    One that was done before it could be killed is no kill: the next one begins with nothing, after `forget`.
    """
    kills = 0
    for _ in range(ATTEMPTS):
        before, wanted = written(), enough()
        process = start()
        wait_until(
            lambda process=process, before=before, wanted=wanted: (
                process.poll() is not None or len(written() - before) >= wanted
            ),
            pause_s=0.001,
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = seen()
        assert len(found) == len({*found}), "a record is there twice"
        if process.returncode == -signal.SIGKILL:
            kills += 1
        else:
            forget()
        if kills == times:
            break
    assert kills == times, "it was always done before it could be killed"


def test_killed_again_and_again_it_has_each_record_once(broker, topics, tmp_path):
    """Each kill is at another moment: after a random number of files appeared."""
    fill(broker, topics, 20_000)
    rng = random.Random(3)
    command = [sys.executable, "-m", "taskstream"]
    command += arguments(broker, topics, tmp_path / "lake", "--once", "--piece-rows", "200")
    kill_again_and_again(
        5,
        lambda: subprocess.Popen(command, stderr=subprocess.DEVNULL),
        written=lambda: files(tmp_path / "lake"),
        enough=lambda: rng.randrange(3, 60),
        seen=lambda: in_lake(tmp_path / "lake", "progress"),
        forget=lambda: shutil.rmtree(tmp_path / "lake"),
    )

    assert once(broker, topics, tmp_path / "lake").exit_code == 0

    require_equal(broker, topics, tmp_path / "lake")


def files(folder: Path) -> set[str]:
    return {each.name for each in folder.rglob("*.parquet")}


def test_it_follows_until_it_is_stopped(broker, topics, tmp_path):
    fill(broker, topics, 100)
    command = [sys.executable, "-m", "taskstream", *arguments(broker, topics, tmp_path / "lake", "--every", "100ms")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or len(in_lake(tmp_path / "lake", "progress")) == 100)
        fill(broker, topics, 50, seed=2)
        wait_until(lambda: process.poll() is not None or is_equal(broker, topics, tmp_path / "lake"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
    require_equal(broker, topics, tmp_path / "lake")
    assert len(in_lake(tmp_path / "lake", "progress")) == 150
    assert "committed" in (tmp_path / "log").read_text()


def test_both_schema_versions_and_a_broken_record_between_them(broker, topics, tmp_path):
    newer = send_both_versions(broker, topics)

    result = once(broker, topics, tmp_path)

    assert result.exit_code == 3, result.output
    assert "1 could not be read" in result.stderr
    query = f"select \"offset\", agent_time from read_parquet('{tmp_path}/progress/**/*.parquet') order by all"
    assert duckdb.sql(query).fetchall() == [(0, None), (2, newer["agent_time"])]
    assert once(broker, topics, tmp_path).exit_code == 3, "they are still not in it"


def test_records_that_retention_took_are_a_gap_that_is_said(broker, topics, tmp_path):
    fill(broker, topics, 200)
    assert once(broker, topics, tmp_path).exit_code == 0
    fill(broker, topics, 200, seed=2)
    end = max(offset for partition, offset in on_topic(broker, topics, "progress") if partition == 0)
    admin = AdminClient(broker.config())
    for answer in admin.delete_records([TopicPartition(topics.progress.name, 0, end)]).values():
        answer.result(LIMIT_S)

    refused = once(broker, topics, tmp_path)

    assert refused.exit_code == 1
    assert "retention removed" in refused.stderr
    assert "--skip-gone" in refused.stderr
    assert once(broker, topics, tmp_path, "--skip-gone").exit_code == 0
    assert {*on_topic(broker, topics, "progress")} <= {*in_lake(tmp_path, "progress")}


def test_a_topic_that_is_quiet_until_all_of_it_expires_is_no_gap(broker, topics, tmp_path):
    """The last offset of a transaction is none of a record."""
    fill(broker, topics, 10)
    assert once(broker, topics, tmp_path).exit_code == 0
    everything = [TopicPartition(topics.rates.name, each, -1) for each in range(topics.partitions)]
    admin = AdminClient(broker.config())
    for answer in admin.delete_records(everything).values():
        answer.result(LIMIT_S)

    result = once(broker, topics, tmp_path)

    assert result.exit_code == 0, result.output


def test_a_topic_that_was_created_again_is_not_added_to_the_old_one(broker, topics, tmp_path):
    fill(broker, topics, 100)
    assert once(broker, topics, tmp_path).exit_code == 0
    admin = AdminClient(broker.config())
    for answer in admin.delete_topics([topics.progress.name]).values():
        answer.result(LIMIT_S)
    wait_until(lambda: topics.progress.name not in admin.list_topics(timeout=60).topics)
    create_topics(broker.config(), topics)

    result = once(broker, topics, tmp_path)

    assert result.exit_code == 1
    assert "deleted and created again" in result.stderr


def test_a_lake_from_latest_begins_where_it_was_made_also_if_nothing_came_then(broker, topics, tmp_path):
    fill(broker, topics, 100)
    assert once(broker, topics, tmp_path, "--from", "latest", "--topic", "progress").exit_code == 0
    fill(broker, topics, 50, seed=2)

    assert once(broker, topics, tmp_path, "--from", "latest", "--topic", "progress").exit_code == 0

    assert len(in_lake(tmp_path, "progress")) == 50
    assert {each.name for each in tmp_path.iterdir()} == {"_taskstream", "progress"}


@pytest.mark.parametrize("wrong", [["--from", "yesterday"], ["--topic", "state"], ["--every", "0"]])
def test_wrong_words_are_wrong_usage(broker, topics, tmp_path, wrong):
    assert once(broker, topics, tmp_path, *wrong).exit_code == 2
    assert list(tmp_path.iterdir()) == []

"""Replay on a real broker: state as it was, the proof that state is right, and state written anew."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.catalog import named
from taskstream.schemas.codec.record_codec import RecordReader, RecordWriter
from taskstream.schemas.topics import Topics
from tests.pipeline.commands.replays import answer, fill, folded, more, published, put, replay, worked
from tests.pipeline.streams import IDS, committed, read_all, worker
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

EVENTS = 3_000
HOUR_AGO = round(time.time()) - 3600


@pytest.fixture
def partitions() -> int:
    return 3


@pytest.fixture
def pipeline(broker: KafkaClient, topics: Topics, tmp_path: Path) -> Topics:
    """Events, and the state that a worker made of them."""
    fill(broker, topics, EVENTS)
    worked(broker, topics, tmp_path, EVENTS)
    return topics


def spoil(broker: KafkaClient, topics: Topics) -> list[str]:
    """A row is removed, one is another's, one is made up; gives their keys."""
    rows = read_all(broker.bootstrap_servers, topics.state.name)
    newest = {message.key(): message for message in rows}
    removed, changed, other = sorted(newest)[:3]
    name = topics.state.name
    put(broker, name, removed, None, newest[removed].partition())
    put(broker, name, changed, newest[other].value(), newest[changed].partition())
    put(broker, name, b"p/made-up/S", newest[other].value(), 0)
    return sorted([removed.decode(), changed.decode(), "p/made-up/S"])


def delete_before(broker: KafkaClient, topic: str, partition: int, offset: int) -> None:
    admin = AdminClient(broker.config())  # its answers come only while it lives
    for each in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
        each.result()


def test_state_as_of_now_is_one_fold_of_all_events(broker: KafkaClient, topics: Topics):
    fill(broker, topics, EVENTS)

    rows = answer(replay(broker, topics, "state", "--as-of", "latest", "-o", "json"))

    assert {f"{row['project_id']}/{row['task_id']}/{row['subtask_name']}": row["reports"] for row in rows} == {
        key: row["reports"] for key, row in folded(broker, topics).items()
    }


def test_state_until_offsets_is_the_fold_up_to_them_column_by_column(
    broker: KafkaClient, topics: Topics, tmp_path: Path
):
    fill(broker, topics, EVENTS)
    ends = {0: 100, 1: 0, 2: 301}
    path = tmp_path / "offsets.csv"
    path.write_text("".join(f"{topics.progress.name},{number},{offset}\n" for number, offset in ends.items()))

    result = replay(broker, topics, "state", "--until-offsets", f"@{path}", "-o", "parquet")

    found = pq.read_table(io.BytesIO(result.stdout_bytes)).to_pylist()
    expected = folded(broker, topics, ends)
    assert len(found) == len(expected) > 0
    for row in found:
        assert row == expected[f"{row['project_id']}/{row['task_id']}/{row['subtask_name']}"]


def test_state_as_of_a_time_takes_the_records_before_it(broker: KafkaClient, topics: Topics):
    writer = RecordWriter(IDS, named("ProgressReported.v1"))
    for number, second in enumerate((10, 20, 30)):
        put(
            broker,
            topics.progress.name,
            "p/t",
            event(writer, HOUR_AGO + second, number),
            0,
            timestamp=(HOUR_AGO + second) * 1000,
        )

    at = datetime.fromtimestamp(HOUR_AGO + 30, UTC).isoformat()
    rows = answer(replay(broker, topics, "state", "--as-of", at, "-o", "json"))

    assert [(row["reports"], row["replicatesize"]) for row in rows] == [(2, 1)]


def test_silence_is_judged_as_it_was_at_the_time(broker: KafkaClient, topics: Topics):
    writer = RecordWriter(IDS, named("ProgressReported.v2"))
    put(broker, topics.progress.name, "p/t", event(writer, HOUR_AGO, 1), 0, timestamp=HOUR_AGO * 1000)

    def silent_at(second: int) -> bool:
        at = datetime.fromtimestamp(HOUR_AGO + second, UTC).isoformat()
        (row,) = answer(replay(broker, topics, "state", "--as-of", at, "-o", "json"))
        return row["silent_since"] is not None

    assert not silent_at(599)
    assert silent_at(602)


def test_a_task_is_silent_in_the_subtask_that_reported_last(broker: KafkaClient, topics: Topics):
    """One task went on from a subtask that never reported 100 percent; the other died after a complete one."""
    writer = RecordWriter(IDS, named("ProgressReported.v2"))
    for task_id, subtask_name, progress, second in (
        ("went-on", "MIGRATE_LINUX_FILE", 99, 0),
        ("went-on", "SYNC_LINUX_FILE", 50, 1_200),
        ("died", "ATTACH_AGENT_IMAGE", 100, 0),
    ):
        value = event(writer, HOUR_AGO + second, 1, task_id=task_id, subtask_name=subtask_name, progress=progress)
        put(broker, topics.progress.name, f"p/{task_id}", value, 0, timestamp=(HOUR_AGO + second) * 1000)

    at = datetime.fromtimestamp(HOUR_AGO + 1_300, UTC).isoformat()
    rows = answer(replay(broker, topics, "state", "--as-of", at, "-o", "json"))

    silent = [(row["task_id"], row["subtask_name"]) for row in rows if row["silent_since"] is not None]
    assert silent == [("died", "ATTACH_AGENT_IMAGE")]


def test_state_of_one_task_and_of_one_project(broker: KafkaClient, topics: Topics):
    fill(broker, topics, EVENTS)
    everything = folded(broker, topics)

    task = answer(replay(broker, topics, "state", "--as-of", "latest", "--task", "task-000007", "-o", "json"))
    project = answer(replay(broker, topics, "state", "--as-of", "latest", "--project", "project-1", "-o", "json"))

    assert {row["task_id"] for row in task} == {"task-000007"}
    assert len(project) == sum(key.startswith("project-1/") for key in everything)


def test_an_empty_range_has_no_state_and_is_no_failure(broker: KafkaClient, topics: Topics):
    result = replay(broker, topics, "state", "--as-of", "earliest", "-o", "json")

    assert (result.exit_code, answer(result)) == (0, [])


def test_state_tells_that_the_topic_no_longer_begins_at_its_beginning(broker: KafkaClient, topics: Topics):
    fill(broker, topics, EVENTS)
    delete_before(broker, topics.progress.name, 1, 50)

    result = replay(broker, topics, "state", "--as-of", "latest")

    assert result.exit_code == 0
    assert f"incomplete: {topics.progress.name}-1 begins at offset 50" in result.stderr


def test_both_versions_are_folded_and_a_broken_record_is_left_out(broker: KafkaClient, topics: Topics):
    v1, v2 = (RecordWriter(IDS, named(f"ProgressReported.v{number}")) for number in (1, 2))
    for value in (event(v1, HOUR_AGO, 1), b"\x00nonsense", event(v2, HOUR_AGO + 5, 2)):
        put(broker, topics.progress.name, "p/t", value, 0)

    result = replay(broker, topics, "state", "--as-of", "latest", "-o", "json")

    assert [row["reports"] for row in answer(result)] == [2]
    assert "skipped, as the worker does: 1 unknown_schema_id" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["state"],
        ["state", "--as-of", "yesterday"],
        ["state", "--as-of", "latest", "--until-offsets", "latest"],
        ["state", "--until-offsets", "PT1M"],
        ["diff", "--from", "@nowhere.csv"],
        ["diff", "--bucket", "0"],
        ["rebuild", "--until", "never"],
        ["rebuild", "--force"],
        ["diff", "-o", "xml"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_wrong_usage(broker: KafkaClient, words: list[str]):
    assert replay(broker, Topics("never-there"), *words).exit_code == 2


def test_topics_that_are_not_there_are_told_with_their_remedy(broker: KafkaClient):
    result = replay(broker, Topics("never-there"), "diff")

    assert result.exit_code == 1
    assert "taskstream topics create --prefix never-there" in result.stderr


def test_nothing_differs_after_a_worker(broker: KafkaClient, pipeline: Topics):
    result = replay(broker, pipeline, "diff", "-o", "json")

    assert result.exit_code == 0, result.output
    told = answer(result)
    assert told["differences"] == []
    assert sum(each["same"] for each in told["partitions"]) == len(published(broker, pipeline))
    assert sum(each["events"] for each in told["partitions"]) == EVENTS
    assert all(each["complete"] and not each["offset_moved"] for each in told["partitions"])


def test_nothing_differs_with_both_versions_and_a_broken_record_between_them(
    broker: KafkaClient, topics: Topics, tmp_path: Path
):
    v1, v2 = (RecordWriter(IDS, named(f"ProgressReported.v{number}")) for number in (1, 2))
    now = round(time.time())
    for value in (event(v1, now - 20, 1), b"\x00nonsense", event(v2, now - 10, 2), None, event(v1, now, 3)):
        put(broker, topics.progress.name, "p/t", value, 0)
    worked(broker, topics, tmp_path, 5)

    result = replay(broker, topics, "diff", "-o", "json")

    assert result.exit_code == 0, result.output
    told = answer(result)["partitions"][0]
    assert (told["events"], told["same"]) == (3, 1)
    assert told["unreadable"] == {"unknown_schema_id": 1, "empty": 1}


def test_an_empty_stream_has_no_differences_and_nothing_to_rebuild(broker: KafkaClient, topics: Topics):
    assert replay(broker, topics, "diff").exit_code == 0
    assert replay(broker, topics, "rebuild", "--execute").exit_code == 0
    assert read_all(broker.bootstrap_servers, topics.state.name) == []


@pytest.mark.parametrize("verb", ["diff", "rebuild"])
def test_differences_as_parquet_have_a_row_a_column(broker: KafkaClient, pipeline: Topics, verb: str):
    spoil(broker, pipeline)

    result = replay(broker, pipeline, verb, "-o", "parquet")

    found = pq.read_table(io.BytesIO(result.stdout_bytes)).to_pylist()
    assert {row["difference"] for row in found} == {"differs", "missing", "surplus"}
    assert all(row["state"] != row["fold"] for row in found if row["difference"] == "differs")


def test_events_after_the_committed_offsets_are_not_compared(broker: KafkaClient, pipeline: Topics):
    fill(broker, pipeline, 200, seed=2)

    assert replay(broker, pipeline, "diff").exit_code == 0


def test_another_bucket_than_the_workers_differs(broker: KafkaClient, pipeline: Topics):
    assert replay(broker, pipeline, "diff", "--bucket", "10").exit_code == 1


def test_what_was_spoiled_is_found_and_nothing_else(broker: KafkaClient, pipeline: Topics):
    spoiled = spoil(broker, pipeline)

    result = replay(broker, pipeline, "diff", "-o", "json")

    assert result.exit_code == 1
    found = answer(result)["differences"]
    assert sorted(f"{each['project_id']}/{each['task_id']}/{each['subtask_name']}" for each in found) == spoiled
    assert sorted(each["difference"] for each in found) == ["differs", "missing", "surplus"]


def test_series_begun_before_a_gap_are_told_and_not_called_different(broker: KafkaClient, pipeline: Topics):
    delete_before(broker, pipeline.progress.name, 0, 60)

    result = replay(broker, pipeline, "diff", "-o", "json")

    assert result.exit_code == 0, result.output
    told = answer(result)["partitions"][0]
    assert not told["complete"]
    assert told["not_compared"]["before_range"] > 0
    assert "incomplete: partition 0 was folded from offset 60" in result.stderr
    assert replay(broker, pipeline, "diff", "--strict").exit_code == 1


def test_nothing_differs_while_workers_are_at_work(broker: KafkaClient, topics: Topics, tmp_path: Path):
    fleet = fill(broker, topics, EVENTS)
    with worker(broker.bootstrap_servers, topics, tmp_path):
        wait_until(lambda: committed(broker.bootstrap_servers, topics) > 0)
        sending = subprocess.Popen([sys.executable, "-c", _SEND, broker.bootstrap_servers, topics.progress.name])
        try:
            result = replay(broker, topics, "diff", "-o", "json")
        finally:
            sending.terminate()
            sending.wait()

    assert fleet.sent == EVENTS
    assert result.exit_code == 0, result.output
    assert answer(result)["differences"] == []


_SEND = """
import sys, time
from tests.pipeline.streams import SENT_AT_MS, Fleet, producer
sending, fleet = producer(sys.argv[1]), Fleet(20, 5)
while True:
    for _ in range(20):
        key, value = fleet.event()
        sending.produce(sys.argv[2], value, key, timestamp=SENT_AT_MS)
    sending.poll(0)
    time.sleep(0.02)
"""


def test_rebuild_writes_nothing_unless_it_is_told_to(broker: KafkaClient, pipeline: Topics):
    spoil(broker, pipeline)
    before = len(read_all(broker.bootstrap_servers, pipeline.state.name))

    result = replay(broker, pipeline, "rebuild")

    assert result.exit_code == 0
    assert "dry run" in result.stderr
    assert len(read_all(broker.bootstrap_servers, pipeline.state.name)) == before


def test_rebuild_mends_what_was_spoiled_and_writes_only_that(broker: KafkaClient, pipeline: Topics):
    spoil(broker, pipeline)
    before = len(read_all(broker.bootstrap_servers, pipeline.state.name))

    assert replay(broker, pipeline, "rebuild", "--execute").exit_code == 0

    assert published(broker, pipeline) == folded(broker, pipeline)
    assert len(read_all(broker.bootstrap_servers, pipeline.state.name)) == before + 3
    assert committed(broker.bootstrap_servers, pipeline) == EVENTS


@pytest.mark.parametrize("title", ["SeriesState.v1", "SeriesState.v2", "SeriesState.v3"])
def test_rebuild_brings_a_state_of_a_version_before_to_the_newest(broker: KafkaClient, pipeline: Topics, title: str):
    """The rows without what later versions added: a worker reads them, and a rebuild fills in the rest."""
    expected = published(broker, pipeline)
    reader, writer = RecordReader(IDS, "SeriesState"), RecordWriter(IDS, named(title))
    names = [each["name"] for each in named(title).definition["fields"]]
    newest = {message.key(): message for message in read_all(broker.bootstrap_servers, pipeline.state.name)}
    for message in newest.values():
        row = reader.read(message.value())
        old = writer.write({name: row[name] for name in names})
        put(broker, pipeline.state.name, message.key(), old, message.partition())
    assert published(broker, pipeline) != expected

    assert replay(broker, pipeline, "diff").exit_code == 1
    assert replay(broker, pipeline, "rebuild", "--execute").exit_code == 0

    assert published(broker, pipeline) == expected
    assert replay(broker, pipeline, "diff").exit_code == 0


def test_workers_go_on_after_a_rebuild_as_if_nothing_had_been(broker: KafkaClient, topics: Topics, tmp_path: Path):
    fleet = fill(broker, topics, EVENTS)
    worked(broker, topics, tmp_path, EVENTS)
    spoil(broker, topics)
    assert replay(broker, topics, "rebuild", "--execute").exit_code == 0

    more(broker, topics, fleet, 500)
    worked(broker, topics, tmp_path, EVENTS + 500)

    assert published(broker, topics) == folded(broker, topics)


def test_rebuild_of_a_state_that_never_was_moves_the_offsets_to_the_end(
    broker: KafkaClient, topics: Topics, tmp_path: Path
):
    fleet = fill(broker, topics, EVENTS)
    refused = replay(broker, topics, "rebuild", "--execute")
    assert refused.exit_code == 1
    assert "--until latest" in refused.stderr

    assert replay(broker, topics, "rebuild", "--execute", "--until", "latest").exit_code == 0

    assert published(broker, topics) == folded(broker, topics)
    assert committed(broker.bootstrap_servers, topics) == EVENTS
    more(broker, topics, fleet, 300)
    worked(broker, topics, tmp_path, EVENTS + 300)
    assert published(broker, topics) == folded(broker, topics)


def test_rebuild_is_refused_while_the_group_has_members(broker: KafkaClient, pipeline: Topics, tmp_path: Path):
    with worker(broker.bootstrap_servers, pipeline, tmp_path, "present"):
        wait_until(lambda: replay(broker, pipeline, "rebuild").exit_code == 1)
        result = replay(broker, pipeline, "rebuild", "--execute")

    assert result.exit_code == 1
    assert "has members: present at" in result.stderr


def test_rebuild_leaves_rows_whose_events_are_gone(broker: KafkaClient, pipeline: Topics):
    before = published(broker, pipeline)
    delete_before(broker, pipeline.progress.name, 0, 60)

    assert replay(broker, pipeline, "rebuild", "--execute").exit_code == 0

    assert published(broker, pipeline) == before


def test_rebuild_does_not_move_past_events_for_rows_that_it_cannot_fold(broker: KafkaClient, pipeline: Topics):
    before = published(broker, pipeline)
    delete_before(broker, pipeline.progress.name, 0, 60)
    fill(broker, pipeline, 300, seed=1)

    result = replay(broker, pipeline, "rebuild", "--execute", "--until", "latest")

    assert result.exit_code == 1
    assert "keep the group's offsets with --until committed" in result.stderr
    assert published(broker, pipeline) == before


def event(writer: RecordWriter, second: int, replicated: int, **fields: object) -> bytes:
    record = {"event_id": f"e{second}", "project_id": "p", "task_id": "t", "received_at": second * 1_000_000}
    record |= {"subtask_name": "S", "progress": 1, "replicatesize": replicated, "totalsize": 100}
    return writer.write(record | {"process_trace": ""} | fields)

"""`taskstream tail` on a real broker: every topic, decoded, broken and gone records as what they are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.ports import free_port
from taskstream.schemas.catalog import named, newest
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.description.asyncapi import document
from taskstream.schemas.topics import Topic, Topics
from tests.pipeline.streams import IDS, committed, producer, report, worker
from tests.waiting import LIMIT_S, wait_until

T = 4_000_000_020_000_000  # in the year 2096: Kafka deletes what is older than the topic keeps
S = 1_000_000


def put(broker: KafkaClient, topic: Topic, *records: tuple[str | bytes | None, bytes | None], headers=()) -> None:
    sender = producer(broker.bootstrap_servers)
    for key, value in records:
        sender.produce(topic.name, value, key, 0, headers=list(headers), timestamp=T // 1000)
    assert sender.flush(LIMIT_S) == 0


def example(title: str, **more) -> bytes:
    said = json.loads((Path("schemas/examples") / f"{title}.json").read_text("utf-8"))["typical"]
    return RecordWriter(IDS, named(title)).write(said | more)


def options(broker: KafkaClient, topics: Topics) -> list[str]:
    return ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]


def tail(broker: KafkaClient, topics: Topics, noun: str, *more: str) -> Result:
    whole = ["--from", "earliest", "--to", "latest"]
    return CliRunner().invoke(cli, ["tail", noun, *options(broker, topics), *whole, *more])


def documents(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_both_schema_versions_as_the_newest(broker, topics):
    put(broker, topics.progress, ("p/a", example("ProgressReported.v1")), ("p/a", example("ProgressReported.v2")))
    older, newer = documents(tail(broker, topics, "progress", "-o", "ndjson"))
    assert older["record"]["agent_time"] is None
    assert newer["record"]["agent_time"] is not None
    assert older["record"].keys() == newer["record"].keys()
    assert (older["offset"], newer["offset"], newer["timestamp"]) == (0, 1, "2096-10-02T07:07:00.000Z")
    assert newer["record"]["received_at"].startswith("2026-11-23T")


@pytest.mark.parametrize("title", ["ProgressReported.v2", "SeriesState.v1", "RateWindow.v1", "SignalRaised.v1"])
@pytest.mark.parametrize("kind", ["typical", "least", "extreme"])
@pytest.mark.parametrize("output", ["line", "ndjson"])
def test_every_example_of_every_record_is_one_line(title, kind, output):
    from taskstream.consumer.tail.decoded_record import DecodedRecord
    from taskstream.consumer.tail.record_lines import json_line, line

    said = json.loads((Path("schemas/examples") / f"{title}.json").read_text("utf-8"))[kind]
    seen = DecodedRecord(
        "t", 0, 0, T // 1000, "k", {}, b"", said["project_id"], said["task_id"], said["subtask_name"], said
    )
    told = {"line": line, "ndjson": json_line}[output](seen)
    assert "\n" not in told
    assert said["subtask_name"] in told


def test_a_broken_record_is_shown_and_what_follows_too(broker, topics):
    put(
        broker,
        topics.progress,
        ("p/a", b"\x07 none"),
        ("p/a", None),
        (b"\xff", b""),
        ("p/a", example("ProgressReported.v2")),
    )
    broken, none, empty, good = documents(tail(broker, topics, "progress", "-o", "ndjson"))
    assert broken["unreadable"] == {
        "reason": "wrong_magic_byte",
        "detail": "the first byte is 0x07, not 0x00",
        "bytes": b"\x07 none".hex(),
    }
    assert none["unreadable"]["reason"] == empty["unreadable"]["reason"] == "empty"
    assert empty["key"] == "\\xff"
    assert good["record"]["progress"]
    assert "UNREADABLE wrong_magic_byte" in tail(broker, topics, "progress").stdout.splitlines()[0]


def test_a_tombstone_is_shown(broker, topics):
    key = "p/some/task/SSL_CONFIG"
    put(broker, topics.state, (key, example("SeriesState.v1")), (key, None))
    _, gone = documents(tail(broker, topics, "state", "-o", "ndjson"))
    assert (gone["key"], gone["tombstone"]) == (key, True)
    assert tail(broker, topics, "state").stdout.splitlines()[1].endswith("p/some/task SSL_CONFIG TOMBSTONE")
    assert (
        len(documents(tail(broker, topics, "state", "-o", "ndjson", "--task", "some/task", "--subtask", "SSL_CONFIG")))
        == 1
    )


def test_a_rejected_record_tells_why_and_from_where(broker, topics):
    headers = {"reason": b"truncated", "detail": b"too short", "topic": b"x", "partition": b"1", "offset": b"7"}
    put(
        broker,
        topics.rejected,
        ("p/a", b"\0\1"),
        headers=[(f"taskstream_{name}", each) for name, each in headers.items()],
    )
    (shown,) = documents(tail(broker, topics, "rejected", "-o", "ndjson"))
    assert shown["rejected"] == {name: each.decode() for name, each in headers.items()} | {"bytes": "0001"}
    assert "REJECTED truncated (too short) from x:1:7: 00 01" in tail(broker, topics, "rejected").stdout


def test_a_note_of_what_was_driven_back_is_shown_as_one(broker, topics):
    put(broker, topics.rejected, (None, b'{"driven":[[0,2]]}'), headers=[("taskstream_note", b"driven")])
    assert tail(broker, topics, "rejected").stdout.endswith('NOTE {"driven":[[0,2]]}\n')


def test_only_what_is_asked_for(broker, topics):
    writer = RecordWriter(IDS, newest("SignalRaised"))
    said = json.loads(Path("schemas/examples/SignalRaised.v1.json").read_text("utf-8"))["typical"]
    for project, task, kind in [("p", "1", "SLOW"), ("p", "2", "SLOW"), ("q", "1", "SILENT"), ("p", "1", "RESET")]:
        record = said | {"project_id": project, "task_id": task, "signal": kind}
        put(broker, topics.signals, (f"{project}/{task}", writer.write(record)))

    def kinds(*more: str) -> list[str]:
        found = documents(tail(broker, topics, "signals", "-o", "ndjson", *more))
        return [each["record"]["signal"] for each in found]

    assert kinds("--project", "p") == ["SLOW", "SLOW", "RESET"]
    assert kinds("--project", "p", "--task", "1") == ["SLOW", "RESET"]
    assert kinds("--signal", "silent", "--signal", "RESET") == ["SILENT", "RESET"]
    assert kinds("--subtask", "SSL_CONFIG") == []
    assert kinds("--count", "2") == ["SLOW", "SLOW"]


def test_what_a_stranger_wrote_plays_no_tricks_on_the_terminal(broker, topics):
    put(
        broker,
        topics.progress,
        ("p/a", example("ProgressReported.v2", process_trace="\x1b[2J\nfine", task_id="\x9b5m")),
    )
    (told,) = tail(broker, topics, "progress").stdout.splitlines()
    assert told.isprintable()
    assert "fine" in told


def test_what_the_worker_makes_of_reports_can_be_followed_on_every_topic(broker, topics, tmp_path):
    events = [report(1, T + number * 10 * S, number << 20) for number in range(30)]
    put(broker, topics.progress, *events, ("p/task-1", b"no record"))
    with worker(broker.bootstrap_servers, topics, tmp_path):
        wait_until(lambda: committed(broker.bootstrap_servers, topics) == 31)
    assert len(tail(broker, topics, "progress").stdout.splitlines()) == 31
    assert "30 reports" in tail(broker, topics, "state").stdout
    windows = documents(tail(broker, topics, "rates", "-o", "ndjson"))
    assert [each["record"]["bytes"] for each in windows[1:3]] == [6 << 20] * 2
    assert "REJECTED wrong_magic_byte" in tail(broker, topics, "rejected").stdout
    (rejected,) = documents(tail(broker, topics, "rejected", "-o", "ndjson"))
    told = document(topics)["components"]["messages"]["RejectedRecord"]["headers"]
    jsonschema.validate(rejected["headers"], told)
    assert rejected["headers"].keys() == set(told["required"])
    assert documents(tail(broker, topics, "signals", "-o", "ndjson", "--signal", "COMPLETE")) == []


@contextmanager
def following(broker: KafkaClient, topics: Topics, *more: str) -> Iterator[subprocess.Popen]:
    """A tail that knows where it begins."""
    command = [sys.executable, "-m", "taskstream", "tail", *options(broker, topics), "-o", "ndjson", *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "following" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.wait()


def test_from_the_end_it_shows_what_comes_until_it_has_enough(broker, topics):
    put(broker, topics.progress, ("p/old", example("ProgressReported.v2", task_id="old")))
    with following(broker, topics, "--count", "2") as process:
        put(broker, topics.progress, *[("p/new", example("ProgressReported.v2", task_id="new"))] * 3)
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert [json.loads(line)["record"]["task_id"] for line in out.splitlines()] == ["new", "new"]


def test_ctrl_c_ends_it_cleanly(broker, topics):
    put(broker, topics.progress, ("p/a", example("ProgressReported.v2")))
    with following(broker, topics, "--from", "earliest") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["offset"] == 0
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (0, "", "")


def test_offsets_that_retention_took_are_left_out_and_the_rest_is_shown(broker, topics, tmp_path):
    put(broker, topics.progress, *[("p/a", example("ProgressReported.v2"))] * 5)
    admin = AdminClient(broker.config())  # named: one that is let go answers nobody
    (answer,) = admin.delete_records([TopicPartition(topics.progress.name, 0, 3)]).values()
    answer.result(LIMIT_S)
    offsets = tmp_path / "from.csv"
    offsets.write_text(f"{topics.progress.name},0,1\n")
    result = tail(broker, topics, "progress", "-o", "ndjson", "--from", f"@{offsets}")
    assert [each["offset"] for each in documents(result)] == [3, 4]


def test_an_empty_range_shows_nothing(broker, topics):
    assert documents(tail(broker, topics, "signals", "-o", "ndjson")) == []
    put(broker, topics.progress, ("p/a", example("ProgressReported.v2")))
    assert documents(tail(broker, topics, "progress", "-o", "ndjson", "--from", "PT1S", "--to", "PT0S")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["nonsense"],
        ["progress", "--from", "yesterday"],
        ["progress", "--signal", "SLOW"],
        ["signals", "--signal", "SLOWER"],
        ["rejected", "--subtask", "SSL_CONFIG"],
        ["progress", "--count", "0"],
    ],
)
def test_wrong_words_are_wrong_usage(broker, topics, wrong):
    assert CliRunner().invoke(cli, ["tail", *options(broker, topics), *wrong]).exit_code == 2


def test_no_kafka_and_no_topic_are_one_sentence(broker, topics):
    nowhere = tail(KafkaClient(f"127.0.0.1:{free_port()}"), topics, "progress")
    assert (nowhere.exit_code, "does Kafka listen" in nowhere.stderr) == (1, True)
    unknown = tail(broker, Topics("nobody-has-this"), "progress")
    assert (unknown.exit_code, "nobody-has-this.progress" in unknown.stderr) == (1, True)

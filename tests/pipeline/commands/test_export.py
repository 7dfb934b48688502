"""Exports of a topic on a real broker: every format, both schema versions, broken records, gaps, and a kill."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from taskstream import batches
from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.catalog import named
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import IDS, Fleet, producer, read_all, records
from tests.waiting import ATTEMPTS, LIMIT_S, wait_until


def fill(broker: KafkaClient, topics: Topics, count: int) -> None:
    sending, fleet = producer(broker.bootstrap_servers), Fleet(20, seed=1)
    for _ in range(count):
        key, value = fleet.event()
        sending.produce(topics.progress.name, value, key)
    assert sending.flush(LIMIT_S) == 0


def put(broker: KafkaClient, topics: Topics, *values: bytes, partition: int = 0) -> None:
    sending = producer(broker.bootstrap_servers)
    for value in values:
        sending.produce(topics.progress.name, value, b"p/t", partition)
    assert sending.flush(LIMIT_S) == 0


def arguments(broker: KafkaClient, topics: Topics, path: Path, *more: str) -> list[str]:
    return [
        "export",
        "--bootstrap-servers",
        broker.bootstrap_servers,
        "--prefix",
        topics.prefix,
        "-o",
        str(path),
        *more,
    ]


def export(broker: KafkaClient, topics: Topics, path: Path, *more: str) -> Result:
    return CliRunner().invoke(cli, arguments(broker, topics, path, *more))


def rows_in(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".arrow":
        return pa.ipc.open_file(str(path)).read_all().to_pylist()
    if path.suffix == ".csv":
        return pl.read_csv(path).to_dicts()
    if path.suffixes[-2:] == [".csv", ".gz"]:
        return pl.read_csv(gzip.decompress(path.read_bytes())).to_dicts()
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.decode().splitlines()]


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "ndjson", "csv.gz", "ndjson.gz"])
def test_every_record_is_in_the_file_once(broker, topics, tmp_path, ending):
    fill(broker, topics, 2_000)
    path = tmp_path / f"events.{ending}"

    result = export(broker, topics, path, "--piece-rows", "300")

    assert result.exit_code == 0, result.output
    there = read_all(broker.bootstrap_servers, topics.progress.name)
    places = {
        (message.partition(), message.offset()): each
        for message, each in zip(there, records(there, "ProgressReported"), strict=True)
    }
    found = rows_in(path)
    assert {
        (row["partition"], row["offset"]): (row["event_id"], row["replicatesize"], row["process_trace"])
        for row in found
    } == {place: (each["event_id"], each["replicatesize"], each["process_trace"]) for place, each in places.items()}
    assert len(found) == 2_000
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("piece_rows", [1, 1_000])
def test_the_latest_of_each_key_as_a_plain_reader_finds_it(broker, topics, tmp_path, piece_rows):
    fill(broker, topics, 400)
    sending = producer(broker.bootstrap_servers)
    first = read_all(broker.bootstrap_servers, topics.progress.name)[0]
    sending.produce(topics.progress.name, None, first.key(), first.partition())
    assert sending.flush(LIMIT_S) == 0
    newest = {}
    for message in read_all(broker.bootstrap_servers, topics.progress.name):
        newest[message.key()] = (message.partition(), message.offset(), message.value())
    expected = sorted(place[:2] for place in newest.values() if place[2] is not None)
    path = tmp_path / "latest.ndjson"

    result = export(broker, topics, path, "--latest", "--piece-rows", str(piece_rows))

    assert result.exit_code == 0, result.output
    assert sorted((row["partition"], row["offset"]) for row in rows_in(path)) == expected
    assert len(expected) == 19


def test_a_latest_export_that_is_resumed_has_each_key_once(broker, topics, tmp_path):
    fill(broker, topics, 3_000)
    path = tmp_path / "latest.ndjson"
    more = ("--latest", "--piece-rows", "1")
    process = subprocess.Popen([sys.executable, "-m", "taskstream", *arguments(broker, topics, path, *more)])
    progress = path.with_name(path.name + ".partial.json")
    wait_until(lambda: process.poll() is not None or (progress.exists() and json.loads(progress.read_text())["rows"]))
    process.kill()
    process.wait()

    result = export(broker, topics, path, *more, "--overwrite")

    assert result.exit_code == 0, result.output
    keys = [(row["project_id"], row["task_id"]) for row in rows_in(path)]
    assert len(keys) == len({*keys}) == 20


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "ndjson"])
def test_an_empty_range_is_a_file_without_rows(broker, topics, tmp_path, ending):
    path = tmp_path / f"none.{ending}"

    assert export(broker, topics, path).exit_code == 0
    assert rows_in(path) == []


def test_both_schema_versions_and_a_broken_record_between_them(broker, topics, tmp_path):
    example = json.loads((Path("schemas/examples") / "ProgressReported.v1.json").read_text("utf-8"))["typical"]
    newer = json.loads((Path("schemas/examples") / "ProgressReported.v2.json").read_text("utf-8"))["typical"]
    put(
        broker,
        topics,
        RecordWriter(IDS, named("ProgressReported.v1")).write(example),
        b"\x07 no record",
        RecordWriter(IDS, named("ProgressReported.v2")).write(newer),
    )
    path = tmp_path / "both.parquet"

    result = export(broker, topics, path)

    assert result.exit_code == 3
    assert "1 wrong_magic_byte" in result.stderr
    assert [(row["offset"], row["agent_time"]) for row in rows_in(path)] == [(0, None), (2, newer["agent_time"])]


def test_offsets_that_retention_took_are_told(broker, topics, tmp_path):
    fill(broker, topics, 500)
    name = topics.progress.name
    admin = AdminClient(broker.config())
    for answer in admin.delete_records([TopicPartition(name, 0, 10)]).values():
        answer.result(LIMIT_S)
    (tmp_path / "from.csv").write_text(f"{name},0,4\n{name},1,0\n", "utf-8")
    path = tmp_path / "rest.parquet"

    result = export(broker, topics, path, "--from", f"@{tmp_path / 'from.csv'}")

    assert result.exit_code == 3
    assert "6 offsets of the range are no longer on the topic" in result.stderr
    assert len(rows_in(path)) == 490


def test_a_range_between_times_is_that_of_the_timestamps_in_whatever_order_they_are(broker, topics, tmp_path):
    """Before, a range began and ended at the first record of a time, and held records outside of it."""
    minutes = (0, 30, -10, 60, 50, 240, 55, 70)
    began_ms = round(time.time() - 86_400) * 1000
    sending, fleet = producer(broker.bootstrap_servers), Fleet(1, seed=1)
    for each in minutes:
        key, value = fleet.event()
        sending.produce(topics.progress.name, value, key, 0, timestamp=began_ms + each * 60_000)
    assert sending.flush(LIMIT_S) == 0
    start, end = (
        dt.datetime.fromtimestamp(began_ms / 1000 + each * 60, dt.UTC).isoformat(timespec="milliseconds")
        for each in (0, 60)
    )
    ends = ("--from", start, "--to", end)

    def exported(name: str, *more: str) -> list[int]:
        path = tmp_path / f"{name}.parquet"
        assert export(broker, topics, path, *ends, *more).exit_code == 0
        return [minutes[row["offset"]] for row in rows_in(path)]

    assert exported("late") == [0, 30, 50]  # two hours after the end, it stops looking
    assert exported("later", "--late", "PT4H") == [0, 30, 50, 55]
    assert exported("in order", "--late", "PT0S") == [0, 30]
    (batch,) = batches(broker.bootstrap_servers, start=start, end=end, prefix=topics.prefix, late=dt.timedelta(days=1))
    assert [minutes[each] for each in batch.column("offset").to_pylist()] == [0, 30, 50, 55]
    whole = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix, *ends]
    tailed = CliRunner().invoke(cli, ["tail", "progress", "-o", "ndjson", *whole])
    assert [minutes[json.loads(line)["offset"]] for line in tailed.stdout.splitlines()] == [0, 30, 50]
    archive = str(tmp_path / "copied.parquet")
    copied = CliRunner().invoke(cli, ["replay", "copy", *whole, "--to-file", archive, "--execute"])
    assert copied.exit_code == 0, copied.output
    assert [minutes[row["offset"]] for row in pq.read_table(archive).to_pylist()] == [0, 30, 50]


def test_an_export_by_a_duration_resumes_with_the_times_that_it_began_with(broker, topics, tmp_path):
    now_ms = round(time.time() * 1000)
    sending, fleet = producer(broker.bootstrap_servers), Fleet(1, seed=1)
    for age_s in (7_000, 9_000, 3_000, 9_000, 100):
        key, value = fleet.event()
        sending.produce(topics.progress.name, value, key, 0, timestamp=now_ms - age_s * 1000)
    assert sending.flush(LIMIT_S) == 0
    path = tmp_path / "two hours.parquet"
    progress = tmp_path / "two hours.parquet.partial.json"
    begun = {
        "request": {"topic": topics.progress.name, "from": "PT2H", "to": "latest", "columns": None},
        "spans": {"0": {"begin": 0, "end": 5, "gone": 0, "from_ms": now_ms - 8_000_000, "to_ms": None}},
        "positions": {"0": 0},
        "pieces": [],
        "rows": 0,
        "tombstones": 0,
        "rejected": {},
    }
    progress.write_text(json.dumps(begun))
    (tmp_path / "two hours.parquet.partial").touch()
    result = export(broker, topics, path, "--from", "PT2H")
    assert "resumed after a stop" in result.stderr
    assert [row["offset"] for row in rows_in(path)] == [0, 2, 4]


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "ndjson"])
def test_killed_in_the_middle_it_goes_on_to_the_right_count(broker, topics, tmp_path, ending):
    fill(broker, topics, 30_000)
    path = tmp_path / f"events.{ending}"
    note = tmp_path / f"{path.name}.partial.json"
    command = [sys.executable, "-m", "taskstream", *arguments(broker, topics, path, "--piece-rows", "100")]
    for _ in range(ATTEMPTS):
        path.unlink(missing_ok=True)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: (note.exists() and json.loads(note.read_text("utf-8"))["rows"] > 0) or path.exists())
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if not path.exists():
            break
    assert not path.exists(), "it always ended before it could be killed"
    with (tmp_path / f"{path.name}.partial").open("ab") as file:
        file.write(b"half a piece")

    result = export(broker, topics, path, "--piece-rows", "100")

    assert result.exit_code == 0, result.output
    assert "resumed after a stop" in result.stderr
    found = {(row["partition"], row["offset"]) for row in rows_in(path)}
    assert len(found) == len(rows_in(path)) == 30_000


@pytest.mark.parametrize(
    "wrong",
    [["--topic", "nonsense"], ["--from", "yesterday"], ["--column", "nothing"], ["--to", "@/nowhere"], ["--nonsense"]],
)
def test_wrong_words_are_wrong_usage(broker, topics, tmp_path, wrong):
    assert export(broker, topics, tmp_path / "x.parquet", *wrong).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_topic_that_was_mistyped_is_guessed(broker, topics, tmp_path):
    result = export(broker, topics, tmp_path / "x.parquet", "--topic", "progres")

    assert "did you mean progress?" in result.stderr


def test_a_file_that_is_there_stays(broker, topics, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("mine", "utf-8")

    assert export(broker, topics, path).exit_code == 2
    assert path.read_text("utf-8") == "mine"
    assert export(broker, topics, path, "--overwrite").exit_code == 0


def test_a_note_that_is_garbage_is_told_with_its_remedy(broker, topics, tmp_path):
    path = tmp_path / "x.csv"
    (tmp_path / "x.csv.partial.json").write_text("garbage", "utf-8")

    result = export(broker, topics, path)

    assert (result.exit_code, "--restart" in result.stderr) == (2, True)
    assert export(broker, topics, path, "--restart").exit_code == 0


def test_batches_in_python_are_what_polars_and_duckdb_take(broker, topics):
    fill(broker, topics, 1_000)
    columns = ["task_id", "replicatesize"]

    frame = pl.concat(
        [
            pl.from_arrow(each)
            for each in batches(broker.bootstrap_servers, prefix=topics.prefix, columns=columns, most=100)
        ]
    )
    stream = batches(broker.bootstrap_servers, prefix=topics.prefix, columns=columns).reader()
    total = duckdb.from_arrow(stream).aggregate("count(*), sum(replicatesize)").fetchall()[0]

    assert frame.columns == ["partition", "offset", "timestamp", "task_id", "replicatesize"]
    assert (frame.height, frame["replicatesize"].sum()) == total


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "a=1", "")


@pytest.mark.parametrize(("option", "mark"), [((), "'"), (("--csv-formulas", "keep"), "")])
def test_a_spreadsheet_runs_no_formula_of_an_agent_unless_it_is_asked_to(broker, topics, tmp_path, option, mark):
    example = json.loads((Path("schemas/examples") / "ProgressReported.v2.json").read_text("utf-8"))["typical"]
    writer = RecordWriter(IDS, named("ProgressReported.v2"))
    put(broker, topics, *(writer.write(example | {"process_trace": each}) for each in FORMULAS))
    path = tmp_path / "events.csv"

    assert export(broker, topics, path, "--column", "process_trace", *option).exit_code == 0
    with path.open(encoding="utf-8", newline="") as file:
        traces = [row["process_trace"] for row in csv.DictReader(file)]
    assert traces == [*(mark + each for each in FORMULAS[:6]), *FORMULAS[6:]]


def test_ndjson_escapes_what_controls_a_terminal_and_keeps_the_value(broker, topics, tmp_path):
    example = json.loads((Path("schemas/examples") / "ProgressReported.v2.json").read_text("utf-8"))["typical"]
    trace = "\x1b[2J\x7f\x9b5m \N{RIGHT-TO-LEFT OVERRIDE}abc\N{LINE SEPARATOR} äöü 🎉"
    put(broker, topics, RecordWriter(IDS, named("ProgressReported.v2")).write(example | {"process_trace": trace}))
    path = tmp_path / "events.ndjson"

    assert export(broker, topics, path).exit_code == 0
    assert all(line.isprintable() for line in path.read_text("utf-8").split("\n"))
    (row,) = rows_in(path)
    assert row["process_trace"] == trace

"""`taskstream sql` on a real broker: the ten questions of the document, the formats, the range, and a lake."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.catalog import named
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.topics import Topics
from tests.pipeline.streams import IDS, producer
from tests.waiting import LIMIT_S

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "questions.md").read_text("utf-8")
QUESTIONS = dict(re.findall(r"^## (\d+)\. .*?```sql\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL))
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
DATE, NEXT_DATE = (f"{each:%Y-%m-%d}" for each in (DAY, DAY + timedelta(days=1)))
RANGE = ("--from", DATE, "--to", NEXT_DATE)
HOUR = 3_600_000_000


def at(hours: float) -> int:
    """Microseconds since 1970, so many hours into the day."""
    return round(DAY.timestamp() * 1_000_000 + hours * HOUR)


def example(name: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "schemas" / "examples" / f"{name}.json").read_text("utf-8"))["typical"]
    return found | more


class Sent:
    """Puts records of a day on the topics."""

    def __init__(self, broker: KafkaClient, topics: Topics) -> None:
        self._topics = topics
        self._producer: Producer = producer(broker.bootstrap_servers)

    def put(self, noun: str, name: str, at_us: int, key: str, **more: Any) -> None:
        value = RecordWriter(IDS, named(name)).write(example(name, **more))
        self._producer.produce(f"{self._topics.prefix}.{noun}", value, key, 0, timestamp=at_us // 1000)

    def report(self, task: str, hours: float, **more: Any) -> None:
        who = {"project_id": "p", "task_id": task, "event_id": f"{task}{hours}", "received_at": at(hours)}
        self.put("progress", "ProgressReported.v2", at(hours), f"p/{task}", **who, **more)

    def window(self, task: str, hours: float, size: int, kind: str = "MIGRATE_LINUX_FILE") -> None:
        who = {"project_id": "p", "task_id": task, "subtask_name": kind, "window_start": at(hours)}
        rate = {"width_s": 60.0, "minutes": 1, "bytes": size, "rate_bps": size / 60, "complete": True}
        self.put("rates", "RateWindow.v1", at(hours), f"p/{task}/{kind}", **who, **rate)

    def signal(self, task: str, hours: float, before: str, after: str, since: float) -> None:
        who = {"project_id": "p", "task_id": task, "subtask_name": "MIGRATE_LINUX_FILE", "raised_at": at(hours)}
        signal = after if after != "OK" else "RESUMED"
        health = {"signal": signal, "before": before, "after": after, "since": at(since), "before_since": at(0)}
        self.put("signals", "SignalRaised.v1", at(hours), f"p/{task}", **who, **health)

    def state(self, task: str, hours: float, **more: Any) -> None:
        who = {"project_id": "p", "task_id": task, "last_seen": at(hours)}
        self.put("state", "SeriesState.v4", at(hours), f"p/{task}/MIGRATE_LINUX_FILE", **who, **more)

    def done(self) -> None:
        assert self._producer.flush(LIMIT_S) == 0


@pytest.fixture(scope="module")
def day(broker: KafkaClient, tmp_path_factory: pytest.TempPathFactory) -> Topics:
    """A day of two tasks, with records before and after it."""
    topics = Topics(f"test-{tmp_path_factory.mktemp('sql').name}-{id(tmp_path_factory)}", partitions=1)
    create_topics(broker.config(), topics)
    sent = Sent(broker, topics)
    for hours in (-1, 1, 2, 4, 25):
        sent.report("a", hours, agent_cpu_usage=float(hours + 10))
    for hours in (3, 3.5):
        sent.report("b", hours, agent_cpu_usage=90.0)
    sent.window("a", 1.1, 60_000_000)
    sent.window("a", 1.2, 180_000_000)
    sent.window("a", 2.1, 600_000_000)
    sent.window("b", 1.1, 6_000_000, "SYNC_LINUX_FILE")
    sent.window("a", 30, 1)
    sent.signal("a", 5, "OK", "NO_PROGRESS", 4.75)
    sent.signal("a", 5.5, "NO_PROGRESS", "SILENT", 5.25)
    sent.signal("a", 6, "SILENT", "OK", 6)
    sent.signal("b", 7, "OK", "SLOW", 6.9)
    sent.signal("b", 8, "SLOW", "NO_PROGRESS", 7.5)
    sent.signal("c", 9, "OK", "SILENT", 8.5)
    sent.signal("c", 9.25, "SILENT", "OK", 9.25)
    sent.state("a", 1, rate_slow_bps=1.0, migrate_speed=1.0)
    sent.state("a", 4, rate_slow_bps=2e6, migrate_speed=32.0, health="OK", eta_s=3_600.0)
    sent.state("b", 3.5, rate_slow_bps=4e6, migrate_speed=32.0, health="NO_PROGRESS", eta_s=None)
    sent.done()
    return topics


def run(broker: KafkaClient, topics: Topics, query: str, *more: str) -> Result:
    kafka = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
    return CliRunner().invoke(cli, ["sql", *kafka, *more, query])


def rows(broker: KafkaClient, topics: Topics, query: str, *more: str) -> list[list[Any]]:
    done = run(broker, topics, query, *(more or RANGE), "-o", "json")
    assert done.exit_code == 0, done.output
    return [list(row.values()) for row in json.loads(done.stdout)]


def iso(hours: float) -> str:
    return datetime.fromtimestamp(at(hours) / 1e6, UTC).isoformat()


ANSWERS: dict[str, list[list[Any]]] = {
    "1": [
        ["p", "a", iso(1), 2.0, 0.24],
        ["p", "a", iso(2), 10.0, 0.6],
        ["p", "b", iso(1), 0.1, 0.006],
    ],
    "2": [
        ["p", "a", "MIGRATE_LINUX_FILE", "NO_PROGRESS", iso(4.75), iso(6), 75.0],
        ["p", "b", "MIGRATE_LINUX_FILE", "NO_PROGRESS", iso(7.5), None, None],
        ["p", "c", "MIGRATE_LINUX_FILE", "SILENT", iso(8.5), iso(9.25), 45.0],
    ],
    "3": [["p", "a", "MIGRATE_LINUX_FILE", 4.0, 2.0, 2.0], ["p", "b", "MIGRATE_LINUX_FILE", 4.0, 4.0, 1.0]],
    "4": [["SYNC_LINUX_FILE", 1, 0.1], ["MIGRATE_LINUX_FILE", 1, 14 / 3]],
    "5": [["p", "b", iso(3.5), "NO_PROGRESS"], ["p", "a", iso(4), "OK"]],
    "6": [["p", iso(1), 0.246, 2], ["p", iso(2), 0.6, 1]],
    "7": [["p", "a", 3, 5_400.0, 7_200.0], ["p", "b", 2, 1_800.0, 1_800.0]],
    "8": [["p", "NO_PROGRESS", 2, 2], ["p", "RESUMED", 2, 2], ["p", "SILENT", 2, 2], ["p", "SLOW", 1, 1]],
    "9": [["p", 2, iso(5), 1]],
    "10": [["p", "b", 90.0, 37.5, 488.5], ["p", "a", 14.0, 37.5, 488.5]],
}


def test_the_document_has_ten_questions():
    assert QUESTIONS.keys() == ANSWERS.keys()


@pytest.mark.parametrize("number", ANSWERS)
def test_a_question_of_the_document_has_its_answer(broker, day, number):
    found = rows(broker, day, QUESTIONS[number])

    assert [[_near(value) for value in row] for row in found] == ANSWERS[number]


def _near(value: Any) -> Any:
    return pytest.approx(value) if isinstance(value, float) else value


def test_a_lake_answers_as_the_topics_do(broker, day, tmp_path):
    kafka = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", day.prefix]
    assert CliRunner().invoke(cli, ["lake", *kafka, "--to", str(tmp_path), "--once"]).exit_code == 0
    for number in ("1", "2", "4", "7", "8", "10"):
        of_lake = CliRunner().invoke(cli, ["sql", "--lake", str(tmp_path), *RANGE, "-o", "json", QUESTIONS[number]])
        assert of_lake.exit_code == 0, of_lake.output
        found = [list(row.values()) for row in json.loads(of_lake.stdout)]
        assert [[_near(value) for value in row] for row in found] == ANSWERS[number], number

    without = CliRunner().invoke(cli, ["sql", "--lake", str(tmp_path), "from state"])
    assert without.exit_code == 1
    assert "--bootstrap-servers" in without.stderr


def test_the_range_is_said_and_a_view_is_read_once_for_a_query_that_names_it_twice(broker, day):
    query = "select (select count(*) from reports), (select max(task_id) from reports)"

    done = run(broker, day, query, *RANGE, "-o", "json")

    assert [list(row.values()) for row in json.loads(done.stdout)] == [[5, "b"]]
    assert done.stderr.splitlines() == [f"reports: 5 rows, from {DATE} to {NEXT_DATE}"]


def test_every_format_has_the_same_rows(broker, day):
    query = "select task_id, count(*) as reports, sum(replicatesize) as bytes from reports group by all order by all"
    expected = rows(broker, day, query)

    csv = pl.read_csv(io.BytesIO(run(broker, day, query, *RANGE, "-o", "csv").stdout_bytes))
    parquet = pq.read_table(io.BytesIO(run(broker, day, query, *RANGE, "-o", "parquet").stdout_bytes))
    table = [line.split() for line in run(broker, day, query, *RANGE).stdout.splitlines()]

    assert [list(row) for row in csv.rows()] == expected
    assert [
        [int(each) if not isinstance(each, str) else each for each in row.values()] for row in parquet.to_pylist()
    ] == expected
    assert table == [["TASK", "ID", "REPORTS", "BYTES"], *([str(each) for each in row] for row in expected)]


@pytest.mark.parametrize(
    ("query", "told"),
    [("selec 1", "syntax error"), ("select nothing from reports", "nothing"), ("from nowhere", "reports, rates")],
)
def test_a_query_that_duckdb_refuses_is_wrong_usage(broker, day, query, told):
    done = run(broker, day, query)

    assert done.exit_code == 2, done.output
    assert told in done.stderr


def test_without_duckdb_it_says_how_to_install_it(tmp_path):
    (tmp_path / "duckdb.py").write_text("raise ImportError('not here')\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from taskstream.compose.cli import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", program, "sql", "select 1"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert (
        done.stderr == "Error: SQL needs DuckDB, which is not installed; `pip install 'taskstream[sql]'` installs it\n"
    )


def test_the_example_of_stalls_has_a_row_for_each_stall(broker, day, tmp_path):
    script = ROOT / "docs" / "examples" / "stalls_with_duckdb.py"
    command = [sys.executable, str(script), broker.bootstrap_servers, "--prefix", day.prefix, *RANGE]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    assert done.returncode == 0, done.stderr
    header, *stalls = (line.split("\t") for line in done.stdout.splitlines())
    assert header[:4] == ["project_id", "task_id", "subtask_name", "began_as"]
    assert header[-1] == "rate_before_mbytes_per_s"
    assert [[each[1], each[3], *each[4:7]] for each in stalls] == [
        ["a", "NO_PROGRESS", f"{DATE}T04:45:00Z", f"{DATE}T06:00:00Z", "75.0"],
        ["b", "NO_PROGRESS", f"{DATE}T07:30:00Z", "", ""],
        ["c", "SILENT", f"{DATE}T08:30:00Z", f"{DATE}T09:15:00Z", "45.0"],
    ]

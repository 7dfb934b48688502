"""The analysts' worked examples, each run as its reader would run it, beside a plain count of what was sent."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.ports import free_port
from taskstream.schemas.catalog import named
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.registry.registration import register
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.registry.registry_ids import RegistryIds
from taskstream.schemas.topics import Topics, task_key
from tests.pipeline.streams import IDS, producer
from tests.schemas.registry.registry_server import RegistryServer, serving
from tests.waiting import LIMIT_S, PROGRAM_LIMIT_S

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
BEGAN = datetime(2026, 11, 20, 22, 50, tzinfo=UTC)


@pytest.fixture
def partitions() -> int:
    return 3


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with serving() as server:
        yield server


def reports(count: int = 600) -> list[dict[str, Any]]:
    """What agents of two generations say over some hours: the older ones, every third task, tell less."""
    rng = random.Random(5)
    copied: dict[int, int] = defaultdict(int)
    told = []
    for number in range(count):
        task = rng.randrange(9)
        copied[task] += rng.randrange(1 << 30)
        report = {
            "event_id": f"e-{number}",
            "project_id": f"project-{task % 2}",
            "task_id": f"task-{task}",
            "received_at": BEGAN + timedelta(seconds=20 * number),
            "subtask_name": "MIGRATE_LINUX_FILE",
            "progress": number * 100 // count,
            "replicatesize": copied[task],
            "totalsize": 1 << 50,
            "process_trace": "copying",
        }
        if task % 3:
            report |= {"agent_cpu_usage": rng.randrange(100) / 2, "need_migration_test": False}
        told.append(report)
    return told


def send(broker: KafkaClient, topics: Topics, told: list[dict[str, Any]], ids: SchemaIds) -> None:
    """With the schema of each agent's generation; and one record in the middle that is none."""
    old, new = (RecordWriter(ids, named(f"ProgressReported.v{version}")) for version in (1, 2))
    sending = producer(broker.bootstrap_servers)
    for number, each in enumerate(told):
        if number == len(told) // 2:
            sending.produce(topics.progress.name, b"\x07 no record", "p/t")
        exact = each | {"received_at": round(each["received_at"].timestamp() * 1_000_000)}
        value = new.write(exact) if "agent_cpu_usage" in each else old.write(exact)
        sending.produce(topics.progress.name, value, task_key(each["project_id"], each["task_id"]))
    assert sending.flush(LIMIT_S) == 0


def run(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a person does: from somewhere else, by the script's path."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PROGRAM_LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done


def by_series(told: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for each in told:
        found[each["project_id"], each["task_id"]].append(each)
    return found


def test_the_polars_example_tells_of_each_task_what_was_sent(broker, topics, tmp_path):
    told = reports()
    send(broker, topics, told, IDS)

    done = run(tmp_path, "tasks_with_polars.py", broker.bootstrap_servers, "--prefix", topics.prefix)

    expected = {
        key: (len(of_task), of_task[-1]["progress"], pytest.approx(of_task[-1]["replicatesize"] / 1e9))
        for key, of_task in by_series(told).items()
    }
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert {
        (row["project_id"], row["task_id"]): (int(row["reports"]), int(row["progress"]), float(row["replicated_gb"]))
        for row in rows
    } == expected
    assert len(rows) == len(expected)
    assert [row["last_heard"] for row in rows] == sorted(row["last_heard"] for row in rows)
    assert done.stderr.count("left out: ") == 1


def test_the_polars_example_bears_a_range_without_records(broker, topics, tmp_path):
    done = run(tmp_path, "tasks_with_polars.py", broker.bootstrap_servers, "--prefix", topics.prefix, "--from", "PT1M")

    assert list(csv.DictReader(done.stdout.splitlines())) == []


def test_the_duckdb_example_counts_hours_as_they_were_sent(broker, topics, tmp_path):
    told = reports()
    send(broker, topics, told, IDS)

    done = run(tmp_path, "hours_with_duckdb.py", broker.bootstrap_servers, "--prefix", topics.prefix)

    hours: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for each in told:
        hours[f"{each['received_at']:%Y-%m-%dT%H:00Z}", each["project_id"]].append(each)
    expected = []
    for (hour, project), of_hour in sorted(hours.items()):
        busy = [each["agent_cpu_usage"] for each in of_hour if "agent_cpu_usage" in each]
        tasks = {each["task_id"] for each in of_hour}
        expected.append((hour, project, str(len(of_hour)), str(len(tasks)), str(len(busy)), str(max(busy))))
    header, *rows = (tuple(line.split("\t")) for line in done.stdout.splitlines())
    assert header[:3] == ("hour", "project_id", "reports")
    assert rows == expected
    assert done.stderr.count("left out: ") == 1


def test_the_confluent_example_reads_both_versions_with_the_registry_alone(broker, topics, registry, tmp_path):
    told = reports()
    with Registry(registry.url) as ours:
        register(ours, topics)
        send(broker, topics, told, RegistryIds(ours, topics))
    arguments = [broker.bootstrap_servers, registry.url, "--topic", topics.progress.name, "--group", topics.prefix]

    done = run(tmp_path, "reports_with_confluent.py", *arguments, "--once")

    found = sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda each: int(each["event_id"][2:]))
    assert [
        (each["event_id"], each["replicatesize"], each["agent_cpu_usage"], datetime.fromisoformat(each["received_at"]))
        for each in found
    ] == [(each["event_id"], each["replicatesize"], each.get("agent_cpu_usage"), each["received_at"]) for each in told]
    assert done.stderr.count("left out: ") == 1

    again = run(tmp_path, "reports_with_confluent.py", *arguments, "--once")

    assert again.stdout == "", "the group goes on where it ended"


@pytest.mark.parametrize(
    "answer", [None, (404, "<html>"), (404, '{"error_code": 40401, "message": "Subject not found"}')]
)
def test_the_confluent_example_without_a_registry_ends_in_one_sentence(registry, tmp_path, answer):
    registry.always = answer
    url = registry.url if answer else f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, str(EXAMPLES / "reports_with_confluent.py"), "127.0.0.1:1", url, "--once"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PROGRAM_LIMIT_S, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{url} gives no schema for taskstream.progress (")
    assert "`taskstream up --registry` runs one" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_example_needs_nothing_of_ours_that_it_does_not_name():
    """Whoever has only Confluent's client can run the one with only Confluent's client."""
    text = (EXAMPLES / "reports_with_confluent.py").read_text("utf-8")

    assert "taskstream" not in {
        line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))
    }

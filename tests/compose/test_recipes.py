"""docs/recipes.md names topics, fields, ids and bytes that are true. The tools themselves are not run here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from taskstream.compose.local.registry.local_registry import COMPATIBILITY, JOURNAL, REGISTRY_VERSION
from taskstream.consumer.state.series import Signal
from taskstream.schemas.catalog import newest
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "recipes.md").read_text("utf-8")
TOPICS = {topic.name: topic for topic in Topics().all}
FLINK = {"string": "STRING", "int": "INT", "long": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN"}
ADDED_BY_THE_LAKE = {"day", "project"}


def fields(record: str) -> dict[str, Any]:
    return {each["name"]: each["type"] for each in newest(record).definition["fields"]}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def flink_type(avro: Any) -> str:
    """The column of Flink SQL that reads the field."""
    if isinstance(avro, list):
        assert avro[0] == "null"
        return flink_type(avro[1]).removesuffix(" NOT NULL")
    name = avro["type"] if isinstance(avro, dict) else avro
    return f"{FLINK[name]} NOT NULL"


def test_every_topic_of_the_page_exists_and_its_record_is_the_one_of_the_table():
    assert set(re.findall(r"taskstream\.[a-z]+(?=[`'\"\\n])", TEXT)) <= TOPICS.keys()
    rows = re.findall(r"^\| `(taskstream\.\w+)` \| `(\w+)` \|", TEXT, re.MULTILINE)
    assert len(rows) == 4
    assert [(name, TOPICS[name].value) for name, _ in rows] == rows


def test_the_keys_are_those_of_the_topics():
    by_key: dict[str, set[str]] = {}
    for name, topic in TOPICS.items():
        by_key.setdefault(topic.key, set()).add(name.removeprefix("taskstream."))
    assert (
        "Keys are UTF-8 text: `project_id/task_id` of reports and signals, `project_id/task_id/subtask_name` of" in TEXT
    )
    assert {"progress", "signals"} <= by_key["project_id/task_id"]
    assert by_key["project_id/task_id/subtask_name"] == {"rates", "state"}


def test_the_signals_are_all_that_there_are():
    (row,) = re.findall(r"an event: (.*) \|", TEXT)
    assert set(row.split(", ")) == {each.name for each in Signal}


def test_a_value_begins_with_the_five_bytes_that_the_recipe_of_spark_cuts_off():
    schema = newest("ProgressReported")
    example = json.loads((ROOT / "schemas" / "examples" / f"{schema.title}.json").read_text("utf-8"))["typical"]
    value = RecordWriter(TableIds(), schema).write(example)
    assert f"taskstream schemas show {schema.title} > {schema.title}.avsc" in TEXT
    assert f"hex(substring(value, 1, 5)) = '{value[:5].hex()}'" in TEXT
    assert 'from_avro(expr("substring(value, 6)"), schema)' in TEXT
    assert value[:2] != b"\xc3\x01", "Avro's single-object encoding would begin so"
    assert f"the one of `{schema.title}`, which the edge writes, is {TableIds().id_of(schema)} in the" in TEXT


def test_the_columns_of_spark_are_fields_of_the_record_or_folders_of_the_lake():
    named = set()
    for block in blocks("python"):
        named |= set(re.findall(r'(?:withWatermark|window|groupBy)\((?:window\()?"(\w+)"', block))
        named |= set(re.findall(r', "(project_id|task_id)"', block)) | set(re.findall(r'\{"(\w+)": "max"\}', block))
    assert {"received_at", "project_id", "replicatesize", "project", "task_id"} <= named
    assert named <= fields("ProgressReported").keys() | ADDED_BY_THE_LAKE


def test_the_columns_of_flink_have_names_and_types_of_the_record():
    table = next(block for block in blocks("sql") if "'connector' = 'kafka'" in block)
    columns = re.findall(r"\b(\w+) ((?:STRING|INT|BIGINT|DOUBLE|BOOLEAN)(?: NOT NULL)?)(?=,)", table)
    of_record = fields("ProgressReported")
    assert len(columns) == 8
    assert [(name, flink_type(of_record[name])) for name, _ in columns] == columns


def test_the_columns_of_ksqldb_are_fields_of_the_topics():
    text = next(block for block in blocks("sql") if "VALUE_FORMAT" in block)
    streams = dict(re.findall(r"CREATE STREAM (\w+) WITH \(KAFKA_TOPIC = '([\w.]+)'", text))
    assert streams == {"signals": "taskstream.signals", "reports": "taskstream.progress"}
    for chosen, stream in re.findall(r"SELECT (.*?) FROM (\w+)", text):
        names = set(chosen.split(", ")) - {"COUNT(*) AS reports"}
        assert names <= fields(str(TOPICS[streams[stream]].value)).keys()


def test_the_key_of_the_sink_is_of_fields_that_name_one_row():
    (text,) = blocks("json")
    sink = json.loads(text)["config"]
    assert set(sink["pk.fields"].split(",")) <= fields(str(TOPICS[sink["topics"]].value)).keys()


def test_the_sink_to_a_file_reads_a_topic_with_confluent_s_framing():
    (text,) = blocks("properties")
    sink = dict(line.split("=", 1) for line in text.splitlines())
    assert TOPICS[sink["topics"]].value == "ProgressReported"
    assert sink["value.converter.apicurio.registry.as-confluent"] == "true"


def test_what_is_said_of_the_local_registry_is_so():
    assert f"Apicurio Registry {REGISTRY_VERSION} beside" in TEXT
    assert f"the compatibility level {COMPATIBILITY}" in TEXT
    assert f"`{JOURNAL}`" in TEXT

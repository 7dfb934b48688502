"""The AsyncAPI document: it is valid by the official JSON schema and agrees with the topics and schemas."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from fastavro import parse_schema

from taskstream.compose.cli import cli
from taskstream.producer.events.event_builder import EventBuilder, Receipt
from taskstream.producer.events.report_validation import ProgressReport
from taskstream.schemas.catalog import named, newest, released
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.description.asyncapi import AVRO, document
from taskstream.schemas.ids import TableIds
from taskstream.schemas.topics import Topics

OTHER = Topics("fleet-7", partitions=3, retention_days=0.5)


@functools.cache
def official() -> jsonschema.Draft7Validator:
    text = (Path(__file__).parent / "asyncapi" / "3.0.0.json").read_text("utf-8")
    return jsonschema.Draft7Validator(json.loads(text))


def problems(spec: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in official().iter_errors(spec)]


@pytest.mark.parametrize("topics", [Topics(), OTHER])
def test_it_is_valid_by_the_official_schema(topics):
    assert problems(document(topics)) == []


def test_the_official_schema_finds_what_is_wrong():
    spec = document(Topics())
    spec["operations"]["recordReport"]["action"] = "sing"
    spec["channels"]["state"]["bindings"]["kafka"]["partitions"] = "many"
    assert len(problems(spec)) == 2


def refs(spec: Any) -> Iterator[str]:
    if isinstance(spec, dict):
        if "$ref" in spec:
            yield spec["$ref"]
        for each in spec.values():
            yield from refs(each)
    elif isinstance(spec, list):
        for each in spec:
            yield from refs(each)


def test_every_reference_leads_somewhere():
    spec = document(Topics())
    for reference in refs(spec):
        place = spec
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_topic_is_a_channel_with_its_partitions_and_configuration():
    spec = document(OTHER)
    by_address = {each["address"]: each["bindings"]["kafka"] for each in spec["channels"].values()}
    assert by_address.keys() == {topic.name for topic in OTHER.all}
    for topic in OTHER.all:
        binding = by_address[topic.name]
        assert (binding["topic"], binding["partitions"]) == (topic.name, topic.partitions)
        shown = {
            name: value[0] if isinstance(value, list) else str(value)
            for name, value in binding["topicConfiguration"].items()
        }
        assert shown == dict(topic.config)


def test_every_released_schema_is_a_message_of_its_topic_word_for_word():
    spec = document(Topics())
    ids = TableIds()
    for schema in released():
        message = spec["components"]["messages"][schema.title]
        assert message["payload"] == {"schemaFormat": AVRO, "schema": schema.definition}
        assert message["x-schema-id"] == ids.id_of(schema)
        parse_schema(message["payload"]["schema"])
        topic = next(each for each in Topics().all if each.value == schema.name)
        channel = next(each for each in spec["channels"].values() if each["address"] == topic.name)
        assert schema.title in channel["messages"]
        assert message["bindings"]["kafka"]["key"]["title"] == topic.key


def test_every_example_can_be_written_in_its_schema():
    for title, message in document(Topics())["components"]["messages"].items():
        for example in message.get("examples", []):
            RecordWriter(TableIds(), named(title)).write(example["payload"])


def test_the_edge_writes_the_newest_version_and_the_worker_reads_all():
    operations = document(Topics())["operations"]

    def message_names(name: str) -> list[str]:
        return [each["$ref"].rpartition("/")[2] for each in operations[name]["messages"]]

    versions = [schema.title for schema in released() if schema.name == "ProgressReported"]
    assert message_names("recordReport") == [newest("ProgressReported").title]
    assert message_names("foldReports") == versions
    assert operations["foldReports"]["bindings"]["kafka"]["groupId"]["const"] == "taskstream.worker"


@pytest.mark.parametrize("traceparent", [None, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
def test_the_headers_of_an_event_are_as_documented(traceparent):
    report = ProgressReport(
        subtask_name="SSL_CONFIG", progress=1, replicatesize=1, totalsize=1, process_trace="", agent_time=None
    )
    event = EventBuilder(TableIds()).build(report, Receipt("p", "t", "e", 1_795_421_400_000_000, traceparent))
    headers = {name: value.decode() for name, value in event.headers if isinstance(value, bytes)}
    schema = document(Topics())["components"]["messages"]["ProgressReported.v2"]["headers"]
    jsonschema.validate(headers, schema)
    assert headers.keys() - schema["properties"].keys() == set()


def test_the_command_prints_it_as_json():
    printed = CliRunner().invoke(cli, ["schemas", "asyncapi", "--prefix", "fleet-7", "--partitions", "3"])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == document(Topics("fleet-7", partitions=3))

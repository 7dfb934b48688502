"""With a registry named, what the edge writes carries the registry's ids; without its schemas no edge starts."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.registry.registration import register
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.registry.registry_ids import RegistryIds
from taskstream.schemas.topics import Topics
from tests.pipeline.edge.test_edge import record_at
from tests.producer.edges import running_edge
from tests.schemas.registry.registry_server import serving


def test_a_report_is_written_under_the_registrys_id(broker: KafkaClient, topic_prefix: str, tmp_path: Path):
    topics = Topics(topic_prefix, partitions=2)
    create_topics(broker.config(), topics)
    with serving() as server, Registry(server.url) as registry:
        ids = {each.title: each.id for each in register(registry, topics)}
        with running_edge(broker, topic_prefix, tmp_path, "--schema-registry", server.url, "--workers", "2") as edge:
            answer = edge.put("t-1")
            assert answer.status == 200

        value = record_at(broker, topics, int(answer.headers["X-Partition"]), int(answer.headers["X-Offset"])).value()

        assert int.from_bytes(value[1:5]) == ids["ProgressReported.v2"]
        assert RecordReader(RegistryIds(registry, topics), "ProgressReported").read(value)["task_id"] == "t-1"


def test_an_edge_whose_schema_is_not_registered_says_how_to_register_it(broker: KafkaClient, tmp_path: Path):
    tokens = tmp_path / "tokens.jsonl"
    CliRunner().invoke(cli, ["tokens", "add", "--file", str(tokens), "--project", "p"])
    named = ["--bootstrap-servers", broker.bootstrap_servers, "--tokens", str(tokens)]
    with serving() as server:
        result = CliRunner().invoke(cli, ["edge", *named, "--schema-registry", server.url, "--port", "0"])

    assert result.exit_code == 1
    assert "run `taskstream schemas register`" in result.stderr
    assert server.subjects == {}

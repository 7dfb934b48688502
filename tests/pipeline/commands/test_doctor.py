"""`taskstream doctor` against deployments that are well, ill, half there, and strangers; never a traceback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from taskstream.compose.cli import cli
from taskstream.compose.doctor.clock_check import clock_finding
from taskstream.compose.doctor.finding import FindingVerdict
from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.ports import free_port
from taskstream.compose.topic_admin import create_topics
from taskstream.producer.callers.token_file import token_line
from taskstream.schemas.catalog import named
from taskstream.schemas.codec.record_codec import RecordWriter
from taskstream.schemas.http.caller import Role
from taskstream.schemas.ids import TableIds
from taskstream.schemas.registry.registration import register
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.topics import Topics
from tests.consumer.view.views import running_view
from tests.pipeline.streams import ask, producer, worker
from tests.private_files import write_private
from tests.producer.edges import running_edge
from tests.schemas.codec.records import altered, minimal
from tests.schemas.registry.registry_server import serving
from tests.waiting import LIMIT_S, NotYet, wait_until


def doctor(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["doctor", "-o", "json", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def kafka(broker: KafkaClient, topics: Topics) -> list[str]:
    named = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
    return [*named, "--partitions", str(topics.partitions)]


def verdicts(result: Result) -> dict[str, str]:
    return {each["check"]: each["verdict"] for each in json.loads(result.stdout)}


def finding(result: Result, check: str) -> dict[str, str]:
    return next(each for each in json.loads(result.stdout) if each["check"] == check)


def test_a_deployment_that_is_well_is_good_to_the_last_line(broker, topics, tmp_path):
    with (
        running_edge(broker, topics.prefix, tmp_path) as edge,
        running_view(broker, topics.prefix, tmp_path) as view,
        worker(broker.bootstrap_servers, topics, tmp_path),
        serving() as server,
        Registry(server.url) as registry,
    ):
        register(registry, topics)
        wait_until(lambda: ask(tmp_path, "/readyz")[0] == 200)
        write_private(tmp_path / "view-token", view.tokens["reader"])
        faces = ["--edge", edge.url, "--view", view.url, "--token", edge.token]
        faces += ["--view-token-file", str(tmp_path / "view-token"), "--wait", "40s", "--strict"]

        def well() -> Result:
            """Asked until none of them stands still for longer than the doctor waits."""
            result = doctor(*kafka(broker, topics), *faces)
            if result.exit_code != 0:
                raise NotYet(result.stdout)
            return result

        once, again = (wait_until(well) for _ in range(2))
        with_registry = doctor(*kafka(broker, topics), "--schema-registry", server.url)
    assert set(verdicts(once).values()) == {"good"}, once.stdout
    assert set(verdicts(again).values()) == {"good"}, again.stdout
    assert list(verdicts(once)) == [
        *("broker", "version", "topics", "durability", "transactions", "broker clock", "group", "lag", "schemas"),
        "schema ids",
        *("edge", "edge clock", "view", "view clock", "report", "on the topic", "in the state", "in the view"),
    ]
    assert "2 partitions" in finding(once, "group")["what"]
    assert "all 9 are registered" in finding(with_registry, "schemas")["what"]
    # The edge and the worker wrote the ids of the table, of which this registry has none.
    assert verdicts(with_registry)["schema ids"] == "unknown"


def test_without_a_worker_the_report_is_followed_as_far_as_it_comes(broker, topics, tmp_path):
    with running_edge(broker, topics.prefix, tmp_path) as edge:
        result = doctor(*kafka(broker, topics), "--edge", edge.url, "--token", edge.token, "--wait", "10s")
    assert result.exit_code == 1
    found = verdicts(result)
    assert (found["group"], found["report"], found["on the topic"], found["in the state"]) == (
        *("bad", "good", "good", "bad"),
    )
    assert "taskstream worker" in finding(result, "group")["remedy"]
    assert finding(result, "in the view")["verdict"] == "unknown"


def test_a_probe_topic_of_an_older_version_does_not_say_the_brokers_time(broker, topics):
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient(broker.config())
    resource = ConfigResource(ConfigResource.Type.TOPIC, topics.probe.name, incremental_configs=[entry])
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(LIMIT_S)
    result = doctor(*kafka(broker, topics))
    assert (verdicts(result)["transactions"], verdicts(result)["broker clock"]) == ("good", "unknown")
    assert "`taskstream topics check`" in finding(result, "broker clock")["remedy"]


@pytest.mark.slow
def test_everything_down_is_told_line_by_line():
    down = [f"127.0.0.1:{free_port()}" for _ in range(4)]
    result = doctor(
        *("--bootstrap-servers", down[0], "--edge", f"http://{down[1]}", "--view", f"http://{down[2]}"),
        *("--schema-registry", f"http://{down[3]}", "--token", "t"),
    )
    assert result.exit_code == 1
    assert verdicts(result) == {
        "broker": "bad",
        "topics": "unknown",
        "transactions": "unknown",
        "group": "unknown",
        "schemas": "bad",
        "edge": "bad",
        "view": "bad",
        "report": "bad",
    }
    assert all(each["remedy"] for each in json.loads(result.stdout))


def test_nothing_named_is_unknown_and_fails_only_when_that_is_asked_for():
    assert doctor().exit_code == 0
    assert doctor("--strict").exit_code == 1
    assert set(verdicts(doctor()).values()) == {"unknown", "good"}


def test_no_topics_are_bad_with_the_command_that_makes_them(broker, topic_prefix):
    result = doctor(*kafka(broker, Topics(topic_prefix)))
    assert result.exit_code == 1
    assert "taskstream topics create" in finding(result, "topics")["remedy"]
    assert verdicts(result)["transactions"] == verdicts(result)["group"] == "unknown"


def test_a_state_topic_that_forgets_is_bad_and_another_retention_is_not(broker, topic_prefix):
    topics = Topics(topic_prefix, partitions=2)
    admin = AdminClient(broker.config())
    (answer,) = admin.create_topics([NewTopic(topics.state.name, 2, config={"cleanup.policy": "delete"})]).values()
    answer.result(LIMIT_S)
    create_topics(broker.config(), topics)
    result = doctor(*kafka(broker, topics))
    wrong = [each for each in json.loads(result.stdout) if each["check"] == "topics" and each["verdict"] == "bad"]
    assert [each["what"] for each in wrong] == [f"{topics.state.name} cleanup.policy is 'delete', declared 'compact'"]
    other = Topics(f"{topic_prefix}-other", partitions=2)
    create_topics(broker.config(), other)
    assert verdicts(doctor(*kafka(broker, other), "--retention-days", "7"))["topics"] == "good"


def test_ids_that_the_registry_gives_to_another_record_are_bad(broker, topics):
    state = named("SeriesState.v1")
    sender = producer(broker.bootstrap_servers)
    sender.produce(topics.state.name, RecordWriter(TableIds(), state).write(minimal(state)), "p/t/s")
    assert sender.flush(LIMIT_S) == 0
    with serving() as server:
        server.first_id = TableIds().id_of(state)
        server.add(named("RateWindow.v1").text, topics.rates.name + "-value")
        result = doctor(*kafka(broker, topics), "--schema-registry", server.url)
    said = finding(result, "schema ids")
    assert said["verdict"] == "bad"
    assert "has schema id 3, which is RateWindow and not SeriesState" in said["what"]
    assert "needs a new --prefix" in said["remedy"]


def test_schemas_that_are_not_registered_or_do_not_fit_are_bad():
    with serving() as server:
        missing = doctor("--schema-registry", server.url)
        server.add(altered(named("SeriesState.v1"), 0, reports="string").text, "taskstream.state-value")
        broken = doctor("--schema-registry", server.url)
    assert "taskstream schemas register" in finding(missing, "schemas")["remedy"]
    assert any("is incompatible with version 1" in each["what"] for each in json.loads(broken.stdout))


def test_a_token_that_is_not_taken_and_one_that_may_not_read_are_told_apart(broker, topics, tmp_path):
    with running_edge(broker, topics.prefix, tmp_path) as edge, running_view(broker, topics.prefix, tmp_path) as view:
        nobody = doctor("--edge", edge.url, "--token", "nobody's")
        edge.tokens.write_text(token_line("agent-only", "project-1", [Role.REPORT]) + "\n")
        agent = doctor("--edge", edge.url, "--token", edge.token, "--view", view.url, "--wait", "60s")
    assert "401" in finding(nobody, "report")["what"]
    assert "role report" in finding(nobody, "report")["remedy"]
    assert finding(agent, "in the view")["verdict"] == "unknown"
    assert "--view-token-file" in finding(agent, "in the view")["remedy"]


def test_an_edge_of_another_pipeline_is_found_out(broker, topics, tmp_path):
    other = Topics(f"{topics.prefix}-other", partitions=2)
    create_topics(broker.config(), other)
    with running_edge(broker, other.prefix, tmp_path) as edge:
        result = doctor(*kafka(broker, topics), "--edge", edge.url, "--token", edge.token, "--wait", "10s")
    assert finding(result, "on the topic")["verdict"] == "bad"
    assert "--prefix" in finding(result, "on the topic")["remedy"]


@contextmanager
def stranger(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """Somebody else's server: whatever is asked, it says the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET  # noqa: N815 (http.server calls it so)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"subtasks": [1]}'),
        (200, b'{"checks": 1, "subtasks": 1}'),
        (404, b"\xff\xfe"),
        (302, b""),
        (500, b'"no"'),
        (200, b'{"subtasks": [{"subtask_name": "CONFIGURE_LINUX"}]}'),
    ],
)
def test_strangers_in_the_place_of_edge_and_view_are_bad_whatever_they_say(status, body):
    with stranger(status, body, X_Partition="many") as url:
        result = doctor("--edge", url, "--view", url, "--token", "t", "--wait", "200ms")
    assert result.exit_code == 1
    assert verdicts(result)["edge"] == verdicts(result)["view"] == "bad"


def test_an_edge_that_is_not_ready_says_why():
    with stranger(503, b'{"status": "unready", "checks": {"draining": "no", "kafka": "_TIMED_OUT"}}') as url:
        result = doctor("--edge", url)
    assert "kafka _TIMED_OUT" in finding(result, "edge")["what"]


@pytest.mark.parametrize(
    ("theirs_s", "verdict", "words"),
    [
        (100.0, FindingVerdict.GOOD, "0.45 s ahead of"),
        (98.0, FindingVerdict.GOOD, "1.55 s behind"),
        (120.0, FindingVerdict.BAD, "20.45 s ahead of"),
        (80.0, FindingVerdict.BAD, "19.55 s behind"),
    ],
)
def test_a_clock_is_judged_within_what_can_be_known_of_it(theirs_s, verdict, words):
    found = clock_finding("edge clock", "the edge", theirs_s, 100.0, 100.1, step_s=1.0)
    assert found.verdict is verdict
    assert words in found.what


@pytest.mark.parametrize(
    "wrong",
    [
        ["--edge", "nonsense"],
        ["--view", "ftp://x"],
        ["--token-file", "nowhere"],
        ["--token-file", "x", "--token", "y"],
        ["--token", "with space"],
        ["--wait", "soon"],
    ],
)
def test_wrong_words_are_wrong_usage(wrong):
    assert doctor(*wrong).exit_code == 2


def test_for_people_each_line_begins_with_its_verdict_and_what_is_not_good_has_its_remedy(tmp_path: Path):
    lines = CliRunner().invoke(cli, ["doctor"]).stdout.splitlines()
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith(" "):
            assert line.split()[0] in {"good", "bad", "unknown"}
            assert after.lstrip().startswith("->") == (not line.startswith("good"))

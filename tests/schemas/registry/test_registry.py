"""Schema ids from a registry: looked up, cached, and never registered implicitly; every failure names its cause."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from taskstream.compose.local.ports import free_port
from taskstream.schemas.catalog import named, newest, released
from taskstream.schemas.codec.column_codec import ColumnReader, ColumnWriter
from taskstream.schemas.codec.record_codec import RecordReader, RecordWriter
from taskstream.schemas.codec.wire_format import Reason, header
from taskstream.schemas.errors import RegistryFailed, Undecodable, UnknownSchema
from taskstream.schemas.registry.registration import register, registration_statuses
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.registry.registry_ids import RegistryIds, parse_schema, subject_of
from taskstream.schemas.topics import Topics
from tests.schemas.codec.records import IDS, altered, batch_of, minimal
from tests.schemas.registry.registry_server import RegistryServer, serving

TOPICS = Topics("fleet")
V1, V2 = named("ProgressReported.v1"), named("ProgressReported.v2")
REPORTS = "fleet.progress-value"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with serving() as registry:
        yield registry


@pytest.fixture
def registry(server: RegistryServer) -> Iterator[Registry]:
    with Registry(server.url) as opened:
        yield opened


@pytest.fixture
def ids(registry: Registry) -> RegistryIds:
    return RegistryIds(registry, TOPICS)


def test_the_subject_of_a_schema_is_named_after_the_topic():
    assert [subject_of(TOPICS, newest(name)) for name in ("ProgressReported", "SeriesState")] == [
        "fleet.progress-value",
        "fleet.state-value",
    ]


def test_the_id_of_a_registered_schema_is_found(server, ids):
    number = server.add(V2.text, REPORTS)

    assert ids.id_of(V2) == number
    assert ids.schema_of(number) is V2


def test_a_released_schema_is_recognised_in_another_formatting():
    assert parse_schema(json.dumps(V2.definition, sort_keys=True, indent=3)) is V2


def test_lookups_are_cached(server, ids):
    number = server.add(V2.text, REPORTS)

    for _ in range(3):
        ids.id_of(V2)
        ids.schema_of(number)

    assert len(server.asked) == 2


def test_looking_up_never_registers(server, ids):
    with pytest.raises(
        UnknownSchema, match=r"ProgressReported\.v2 .*fleet\.progress-value.*taskstream schemas register"
    ):
        ids.id_of(V2)

    assert server.subjects == {}
    assert server.asked == [("POST", f"/subjects/{REPORTS}")]


def test_an_unknown_id_is_looked_up_again_after_its_cache_entry_expires(server, registry):
    now = [1000.0]
    ids = RegistryIds(registry, TOPICS, clock=lambda: now[0])
    for _ in range(3):
        with pytest.raises(UnknownSchema, match="no record schema has id 101"):
            ids.schema_of(101)
    assert len(server.asked) == 1
    assert server.add(V2.text, REPORTS) == 101

    now[0] += 31

    assert ids.schema_of(101) is V2


@pytest.mark.parametrize(
    ("text", "kind"), [('"string"', "AVRO"), ('{"type": "enum", "name": "E", "symbols": []}', "AVRO"), ("{}", "JSON")]
)
def test_a_schema_that_is_not_an_avro_record_is_unknown(server, ids, text, kind):
    number = server.add(text, schema_type=kind)

    with pytest.raises(UnknownSchema, match="no record"):
        ids.schema_of(number)


def test_both_codecs_work_with_a_registrys_ids(server, ids):
    for schema in released():
        server.add(schema.text, subject_of(TOPICS, schema))
    wires = [RecordWriter(ids, V1).write(minimal(V1)), RecordWriter(ids, V2).write(minimal(V2))]
    writer = ColumnWriter(ids, V2)

    assert wires[1][:5] == header(ids.id_of(V2))
    assert writer.write(batch_of(writer.schema, [minimal(V2)])) == wires[1:]
    assert ColumnReader(ids, V2.name).read(wires).batch.num_rows == 2
    assert [RecordReader(ids, V2.name).read(wire) for wire in wires] == [minimal(V2)] * 2


def test_a_version_newer_than_this_program_is_decoded_with_the_registrys_schema(server, ids):
    v3 = altered(V2, 3, {"name": "retries", "type": ["null", "long"], "default": None})
    wire = header(server.add(v3.text, REPORTS)) + b"\x00" + RecordWriter(IDS, V2).write(minimal(V2))[5:]

    assert ColumnReader(ids, V2.name).read([wire]).rejected == []
    assert RecordReader(ids, V2.name).read(wire) == minimal(V2)


def test_an_id_unknown_to_the_registry_is_a_reason(ids):
    wire = header(9) + b"whatever"

    assert ColumnReader(ids, V2.name).read([wire]).rejected[0].reason == Reason.UNKNOWN_SCHEMA
    with pytest.raises(Undecodable, match=Reason.UNKNOWN_SCHEMA):
        RecordReader(ids, V2.name).read(wire)


def test_user_and_password_are_taken_from_the_address_and_never_shown(server):
    server.user = "u:p@ss"
    server.add(V2.text, REPORTS)
    with Registry(server.url.replace("http://", "http://u:p%40ss@")) as registry:
        assert registry.find_id(REPORTS, V2) == 101
        assert "p@ss" not in registry.url
        assert "p%40ss" not in registry.url


def test_the_error_for_a_wrong_password_has_a_remedy(server):
    server.user = "u:p"
    with Registry(server.url.replace("http://", "http://u:secret@")) as registry:
        with pytest.raises(
            RegistryFailed, match=f"{server.url} answered 401 Unauthorized: give user and password"
        ) as caught:
            registry.find_id(REPORTS, V2)
        assert "secret" not in str(caught.value)


def test_a_refused_connection_is_reported():
    message = r"looking up .* did not answer \(ConnectError .*does a registry listen"

    with Registry(f"http://127.0.0.1:{free_port()}") as registry, pytest.raises(RegistryFailed, match=message):
        registry.find_id(REPORTS, V2)


def test_a_request_without_an_answer_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Registry(url, timeout_s=0.05) as registry, pytest.raises(RegistryFailed, match="ReadTimeout"):
            registry.find_id(REPORTS, V2)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>"),
        (200, "[]"),
        (200, "{}"),
        (200, ""),
        (404, '{"message": "no such page"}'),
        (404, "nothing here"),
        (500, "[1]"),
    ],
)
def test_a_server_that_is_not_a_registry_is_reported(server, registry, status, body):
    server.always = status, body

    with pytest.raises(RegistryFailed, match=r"schema registry|answered 500"):
        registry.find_id(REPORTS, V2)


@pytest.mark.parametrize("url", ["localhost:8081", "ftp://h", "http://", "mock://", ""])
def test_an_invalid_address_is_refused(url):
    with pytest.raises(RegistryFailed, match="http://HOST:PORT"):
        Registry(url)


def test_an_empty_registry_accepts_every_schema(registry):
    statuses = registration_statuses(registry, TOPICS)

    assert sorted(each.title for each in statuses) == sorted(schema.title for schema in released())
    assert all(each.accepted and each.id is None and each.level == "BACKWARD" for each in statuses)


def test_registering_gives_every_schema_an_id_oldest_first(server, registry):
    statuses = register(registry, TOPICS)

    assert all(each.id for each in statuses)
    assert server.subjects[REPORTS] == [each.id for each in statuses if each.subject == REPORTS]
    assert [parse_schema(server.schemas[number]["schema"]) for number in server.subjects[REPORTS]] == [V1, V2]


def test_a_fresh_registry_gives_the_ids_of_the_table(server, registry):
    server.first_id = 1

    statuses = register(registry, TOPICS)

    assert {each.title: each.id for each in statuses} == {each.title: IDS.id_of(each) for each in released()}
    assert {each.contradicts for each in statuses} == {None}


def test_an_id_that_the_table_gives_to_another_schema_is_named(server, registry):
    server.first_id = 3
    server.add(named("RateWindow.v1").text, "fleet.rates-value")

    found = {each.title: each.contradicts for each in registration_statuses(registry, TOPICS)}

    assert found["RateWindow.v1"] == "SeriesState.v1"
    assert [title for title, contradicts in found.items() if contradicts] == ["RateWindow.v1"]


def test_registering_again_changes_nothing(registry):
    assert register(registry, TOPICS) == register(registry, TOPICS)


def test_a_schema_is_compared_with_every_registered_version(server, registry):
    server.add(altered(V2, 3, progress="string").text, REPORTS)
    server.add(V1.text, REPORTS)

    statuses = {each.title: each for each in registration_statuses(registry, TOPICS)}

    assert statuses["ProgressReported.v1"].accepted
    assert not statuses["ProgressReported.v2"].accepted
    assert statuses["ProgressReported.v2"].incompatible_with == (1,)


def test_a_subjects_own_level_overrides_the_registrys_default(server, registry):
    server.levels[REPORTS] = "FULL_TRANSITIVE"

    levels = {each.subject: each.level for each in registration_statuses(registry, TOPICS)}

    assert levels == {REPORTS: "FULL_TRANSITIVE"} | dict.fromkeys(levels.keys() - {REPORTS}, "BACKWARD")


def test_the_error_for_a_refused_schema_quotes_the_registry(server, registry):
    server.add(altered(V2, 3, progress="string").text, REPORTS)

    with pytest.raises(
        RegistryFailed, match=r"registering ProgressReported\.v1 .* 409 Schema is incompatible with version 1"
    ):
        register(registry, TOPICS)

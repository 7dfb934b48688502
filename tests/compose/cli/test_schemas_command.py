"""`taskstream schemas`, against a registry of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from taskstream.compose.cli import cli
from taskstream.compose.local.ports import free_port
from taskstream.schemas.catalog import named
from tests.schemas.codec.records import altered
from tests.schemas.registry.registry_server import RegistryServer, serving


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with serving() as registry:
        yield registry


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["schemas", *arguments])


def rows(result: Result) -> dict[str, dict]:
    return {row["schema"]: row for row in json.loads(result.stdout)}


def test_list_tells_ids_and_topics():
    listed = rows(run("list", "-o", "json", "--prefix", "fleet"))

    assert listed["ProgressReported.v2"] == {
        "schema": "ProgressReported.v2",
        "id": 2,
        "topic": "fleet.progress",
        "fields": 20,
    }


def test_list_is_a_table_for_people():
    lines = run("list").stdout.splitlines()

    assert lines[0].split() == ["SCHEMA", "ID", "TOPIC", "FIELDS"]
    assert lines[1].split() == ["ProgressReported.v1", "1", "taskstream.progress", "12"]


def test_show_prints_the_schema_as_it_was_released():
    assert run("show", "SeriesState.v1").stdout == named("SeriesState.v1").text


def test_show_of_a_title_that_is_none_is_wrong_usage():
    result = run("show", "SeriesState")

    assert result.exit_code == 2
    assert "there is no schema 'SeriesState'; there are SeriesState.v1, SeriesState.v2" in result.stderr
    assert "there are ProgressReported.v1, " in run("show", "nonsense").stderr


def test_register_then_check_finds_every_schema_registered(server):
    registered = run("register", "--schema-registry", server.url, "-o", "json")
    checked = run("check", "--schema-registry", server.url, "-o", "json")

    assert (registered.exit_code, checked.exit_code) == (0, 0)
    assert rows(checked) == rows(registered)
    assert {row["standing"] for row in rows(checked).values()} == {"registered"}


def test_check_writes_nothing(server):
    checked = run("check", "--schema-registry", server.url, "-o", "json")

    assert checked.exit_code == 0
    assert {row["standing"] for row in rows(checked).values()} == {"would be accepted"}
    assert server.subjects == {}


def test_check_fails_when_a_registered_version_would_break(server):
    server.add(altered(named("RateWindow.v1"), 1, bytes="string").text, "taskstream.rates-value")

    checked = run("check", "--schema-registry", server.url)

    assert checked.exit_code == 1
    assert "incompatible with version 1" in checked.stdout


def test_a_registry_that_is_not_there_is_one_sentence_and_exit_code_1():
    result = run("check", "--schema-registry", f"http://127.0.0.1:{free_port()}")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: looking up ProgressReported.v1")
    assert len(result.stderr.splitlines()) == 1


def test_without_a_registry_there_is_nothing_to_check():
    assert run("check").exit_code == 2


def test_the_registry_may_come_from_the_environment(server):
    result = CliRunner(env={"TASKSTREAM_SCHEMA_REGISTRY": server.url}).invoke(cli, ["schemas", "check"])

    assert result.exit_code == 0

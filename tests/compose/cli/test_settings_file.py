"""The settings file of all commands: what goes before what, what a wrong key or value is told, and `config show`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.cli.commands import COMMANDS, load
from taskstream.compose.cli.options.settings_file import SHARED, environment_variable, options_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Runs a command with a file of this text."""
    for name in ("TASKSTREAM_CONFIG", "TASKSTREAM_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "taskstream.toml"

    def run(text: str, *words: str, env: dict[str, str] | None = None) -> click.testing.Result:
        path.write_text(text, "utf-8")
        return CliRunner().invoke(cli, ["--config", str(path), *words], env=env)

    return run


def shown(result: click.testing.Result) -> dict[tuple[str, str], tuple[str | None, str]]:
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    return {(each["command"], each["option"]): (each["value"], each["source"]) for each in rows}


def leaves(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    for name, each in command.commands.items() if isinstance(command, click.Group) else ():
        yield from leaves(each, click.Context(each, context, info_name=name))


def every_command() -> Iterator[tuple[click.Command, click.Context]]:
    root = click.Context(cli, info_name="taskstream", auto_envvar_prefix="TASKSTREAM")
    for name in COMMANDS:
        command = load(name)
        yield from leaves(command, click.Context(command, root, info_name=name))


def test_an_option_goes_before_the_environment_that_before_the_file_and_that_before_the_default(settings):
    text = 'prefix = "of-the-file"\n'
    default = settings("", "schemas", "asyncapi")
    assert '"taskstream.progress"' in default.stdout
    of_file = settings(text, "schemas", "asyncapi")
    assert '"of-the-file.progress"' in of_file.stdout
    environment = {"TASKSTREAM_PREFIX": "of-the-environment"}
    assert '"of-the-environment.progress"' in settings(text, "schemas", "asyncapi", env=environment).stdout
    option = settings(text, "schemas", "asyncapi", "--prefix", "of-the-option", env=environment)
    assert '"of-the-option.progress"' in option.stdout


def test_the_environment_names_the_file(tmp_path):
    path = tmp_path / "taskstream.toml"
    path.write_text('prefix = "of-the-file"\n', "utf-8")
    result = CliRunner().invoke(cli, ["schemas", "asyncapi"], env={"TASKSTREAM_CONFIG": str(path)})
    assert '"of-the-file.progress"' in result.stdout


def test_the_nearest_table_decides(settings):
    text = 'partitions = 3\nprefix = "all"\n[topics]\npartitions = 5\n[topics.create]\npartitions = 7\n'
    rows = shown(settings(text, "config", "show", "-o", "json"))
    assert rows["topics create", "partitions"][0] == "7"
    assert rows["topics check", "partitions"][0] == "5"
    assert rows["up", "partitions"][0] == "3"
    assert rows["topics create", "partitions"][1].endswith("taskstream.toml: topics.create.partitions")
    assert rows["topics check", "prefix"][1].endswith("taskstream.toml: prefix")


def test_the_sources_of_all_values_are_shown_and_secrets_are_not(settings):
    text = '[tasks]\ntoken = "of-the-file-secret"\n[edge]\nschema-registry = "http://u:registry-secret@r"\n'
    environment = {
        "TASKSTREAM_EDGE_PORT": "9000",
        "TASKSTREAM_KAFKA_PROPERTIES": "sasl.password=kafka-secret linger.ms=5",
    }
    result = settings(text, "config", "show", "-o", "json", env=environment)
    rows = shown(result)
    assert rows["edge", "port"] == ("9000", "TASKSTREAM_EDGE_PORT")
    assert rows["edge", "host"] == ("127.0.0.1", "default")
    assert rows["edge", "schema-registry"][0] == "http://u:***@r"
    assert rows["edge", "-X"] == ("sasl.password=*** linger.ms=5", "TASKSTREAM_KAFKA_PROPERTIES")
    assert rows["tasks list", "token"][0] == "***"
    assert "secret" not in re.sub("--?[a-z-]*secret", "", result.stdout)


def test_only_what_is_changed(settings):
    rows = shown(settings("[edge]\nport = 9000\n", "config", "show", "edge", "--changed", "-o", "json"))
    assert {key: value for key, (value, _) in rows.items()} == {("edge", "port"): "9000"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prefx = 'a'", "prefx is not a setting: did you mean prefix?"),
        ("port = 1", "a setting of one command stands in its table, such as [edge]"),
        ("[edge]\nprot = 1", "edge.prot is not a setting: did you mean port? `taskstream edge --help`"),
        ("[topics.create]\npartition = 1", "topics.create.partition is not a setting: did you mean partitions?"),
        ("[topics]\ncraete = 1", "topics.craete is not a setting: did you mean create?"),
        ("[edge]\nport = 'x'", "edge.port: 'x' is not a valid integer"),
        ("[edge]\nport = 70000", "edge.port: 70000 is not in the range 0<=x<=65535"),
        ("[edge]\nworkers = 1.5", "edge.workers: '1.5' is not a valid integer"),
        ("[edge]\nworkers = [1]", "edge.workers: write one value"),
        ("[edge]\nworkers = true", "edge.workers: write one value"),
        ("[edge]\ninsecure-open = 'yes'", "edge.insecure-open: write true or false, without quotes"),
        ("[edge]\nrequest-timeout = 'soon'", "edge.request-timeout: 'soon' is not a duration"),
        ("prefix = 'a b'", "prefix: 'a b' is not a valid topic prefix"),
        ("prefix = [1]", "prefix: write one value"),
        ("edge = 1", "edge: it is a table: write [edge] and its keys below"),
        ("prefix", "is not TOML"),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence_with_the_file_the_key_and_the_remedy(settings, tmp_path, text, told):
    result = settings(text, "config", "show")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path / 'taskstream.toml'}")
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_all_mistakes_of_a_table_are_named_at_once(settings):
    told = settings("[edge]\nprot = 1\nport = 'x'", "config", "show").stderr
    assert "edge.prot" in told
    assert "edge.port" in told


def test_a_file_that_is_not_there(tmp_path):
    result = CliRunner().invoke(cli, ["--config", str(tmp_path / "none"), "schemas", "list"])
    assert result.exit_code == 1
    assert "cannot be read (No such file or directory): name a TOML file" in result.stderr


def test_help_needs_no_file(tmp_path):
    assert CliRunner().invoke(cli, ["--config", str(tmp_path / "none"), "--help"]).exit_code == 0


def test_a_mistake_in_the_table_of_another_command_does_not_stop_this_one(settings):
    assert settings("[edge]\nprot = 1\n", "schemas", "list").exit_code == 0


def test_the_shared_keys_are_the_options_with_one_variable_for_all_commands():
    found = {
        key
        for command, context in every_command()
        for key, option in options_of(command)
        if environment_variable(option, context) == "TASKSTREAM_" + key.upper().replace("-", "_")
    }
    assert {*SHARED} == found


def test_no_option_has_the_name_of_a_command_below_its_group():
    for command, _ in every_command():
        if isinstance(command, click.Group):
            keys = {key for each in command.commands.values() for key, _ in options_of(each)}
            assert not keys & command.commands.keys()


def test_the_example_of_the_documentation_is_valid(settings):
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    rows = shown(settings(example, "config", "show", "--changed", "-o", "json"))
    assert rows["worker", "bucket"][0] == "60"
    assert rows["tasks list", "endpoint"][0] == "https://view.example"


def test_a_command_reads_the_file_in_a_process_of_its_own(tmp_path):
    path = tmp_path / "taskstream.toml"
    path.write_text('prefix = "mine"\n', "utf-8")
    command = [sys.executable, "-m", "taskstream", "--config", str(path), "schemas", "asyncapi"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert '"mine.progress"' in done.stdout

"""A wrong command, option or value: exit code 2, the reason on standard error, and no traceback."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.cli.commands import COMMANDS

KAFKA = ("--bootstrap-servers", "127.0.0.1:1")
WRONG = [
    ("nonsense",),
    ("--nonsense",),
    ("topics",),
    ("topics", "nonsense"),
    ("topics", "list", "--partitions", "0"),
    ("topics", "list", "--prefix", "a b"),
    ("topics", "list", "-o", "xml"),
    ("topics", "check"),
    ("edge", *KAFKA, "--port", "70000"),
    ("edge", *KAFKA, "--tls-cert", "a"),
    ("edge", *KAFKA, "--insecure-open", "--host", "0.0.0.0"),
    ("worker", *KAFKA, "-X", "no.such.setting=1"),
    ("worker", *KAFKA, "-X", "nonsense"),
    ("view", *KAFKA, "--bucket", "-1"),
    ("view", *KAFKA, "--oidc-issuer", "http://id.example"),
    ("up", "--workers", "none"),
    ("up", *KAFKA, "--registry"),
    ("demo", "--bwlimit", "fast"),
    ("tail", "nonsense", *KAFKA),
    ("tail", "state", *KAFKA, "--from", "yesterday"),
    ("export", *KAFKA),
    ("export", *KAFKA, "-o", "a.xls"),
    ("lag", *KAFKA, "--group", "a", "--all-groups"),
    ("replay", "copy", *KAFKA),
    ("replay", "state", *KAFKA),
    ("replay", "load", *KAFKA),
    ("rejected", "show", *KAFKA, "3-17"),
    ("tasks", "list"),
    ("tasks", "list", "--token", "a", "--endpoint", "nonsense"),
    ("simulate", "--for", "soon", "--to-topic"),
    ("simulate",),
    ("agent", "copy", "nowhere", "there"),
    ("schemas", "show", "nonsense"),
    ("doctor", "--edge", "nonsense"),
    ("tokens", "add", "--project", "a/b"),
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage_is_exit_code_2_and_one_reason(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, words)

    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("Usage: ")
    assert words == ("topics",) or "Error: " in result.stderr


REMEDIES = [
    (("tokens", "list"), "tokens.jsonl cannot be read (No such file or directory): `taskstream tokens add` makes one"),
    (
        ("edge", *KAFKA, "--tokens", "none"),
        "none cannot be read (No such file or directory): give the path of a readable",
    ),
    (
        ("edge", *KAFKA, "--keystone", "none"),
        "none cannot be read (No such file or directory): give the path of a readab",
    ),
    (
        ("edge", "--kafka-config", "none"),
        "none cannot be read as a properties file (No such file or directory): give the",
    ),
    (
        ("view", *KAFKA, "--tokens", "none"),
        "none cannot be read (No such file or directory): give the path of a readable",
    ),
    (
        ("view", *KAFKA, "--link", "logs=https://h/{hots}"),
        "{hots} of the link logs: a label needs a file of labels; known",
    ),
    (("replay", "load", *KAFKA, "none.parquet"), "(No such file or directory): name one that `replay copy` wrote"),
    (
        ("tail", "state", *KAFKA, "--from", "@none"),
        "@none cannot be read (No such file or directory): name a file with",
    ),
    (
        ("export", *KAFKA, "-o", "-"),
        "for standard output use `taskstream tail --from earliest --to latest -o ndjson`, or",
    ),
    (
        ("export", *KAFKA, "-o", "json"),
        "json is no file of a format: name one whose suffix selects it, such as export.par",
    ),
    (("schemas", "show", "SeriesState"), "there are SeriesState.v1, SeriesState.v2, SeriesState.v3, SeriesState.v4"),
    (("schemas", "show", "RateWindow"), "there is RateWindow.v1"),
]


@pytest.mark.parametrize(("command", "sentence"), REMEDIES, ids=lambda each: " ".join(each[:4]))
def test_a_file_or_a_name_that_is_not_there_is_told_with_the_remedy(command, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, command)

    assert result.exit_code in (1, 2), result.output
    assert sentence in result.stderr
    assert "Errno" not in result.stderr
    assert "errno" not in result.stderr


def test_the_view_of_doctor_is_named_as_elsewhere_and_the_old_name_still_works():
    shown = CliRunner().invoke(cli, ["doctor", "--help"]).stdout
    assert "--endpoint URL" in shown
    assert "--view URL" not in shown
    for name in ("--endpoint", "--view"):
        result = CliRunner().invoke(cli, ["doctor", name, "nonsense"])
        assert result.exit_code == 2
        assert f"Invalid value for '{name}': " in result.stderr


def test_the_program_prints_no_traceback():
    done = subprocess.run([sys.executable, "-m", "taskstream", "nonsense"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: No such command 'nonsense'." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_command_is_guessed():
    assert "No such command 'toppics'. Did you mean 'topics'?" in CliRunner().invoke(cli, ["toppics"]).stderr


def test_the_help_names_every_command_once_below_whom_it_is_for():
    result = CliRunner().invoke(cli, ["--help"]).stdout

    assert [
        line.split()[0]
        for line in result.split("To begin:")[1].splitlines()
        if line.startswith("  ") and line[2] != " "
    ][: len(COMMANDS)] == list(COMMANDS)


def test_the_version_names_what_decides():
    result = CliRunner().invoke(cli, ["--version"]).stdout

    assert re.match(r"taskstream \d+\.\d+\.\d+\n", result)
    assert re.search(r"^librdkafka \d+\.\d+\.\d+$", result, re.MULTILINE)
    assert re.search(r"^Python \d+\.\d+\.\d+, Linux", result, re.MULTILINE)


def every_command() -> list[tuple[str, ...]]:
    """The words of every command and of every group of commands."""
    from taskstream.compose.cli.commands import load

    found: list[tuple[str, ...]] = [()]
    for name in sorted(COMMANDS):
        found.append((name,))
        found += [(name, each) for each in sorted(getattr(load(name), "commands", {}))]
    return found


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_prints_its_help(words):
    result = CliRunner().invoke(cli, [*words, "--help"])

    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert "click" not in result.stdout


def test_a_service_link_of_a_container_platform_is_named_as_the_cause():
    link = {"TASKSTREAM_EDGE_PORT": "tcp://10.0.0.7:8080"}
    result = CliRunner().invoke(cli, ["edge", "--bootstrap-servers", "127.0.0.1:1"], env=link)
    assert result.exit_code == 2
    words = " ".join(result.output.split())
    assert "'tcp://10.0.0.7:8080' is not a valid integer" in words
    assert "the environment variable TASKSTREAM_EDGE_PORT, a service link" in words
    assert "enableServiceLinks" in words


def test_a_wrong_value_of_an_environment_variable_names_the_variable():
    result = CliRunner().invoke(cli, ["view", *KAFKA], env={"TASKSTREAM_VIEW_PORT": "many"})
    assert result.exit_code == 2
    assert "comes from the environment variable TASKSTREAM_VIEW_PORT: unset it" in " ".join(result.output.split())


def test_a_wrong_value_on_the_command_line_names_no_variable():
    result = CliRunner().invoke(cli, ["view", *KAFKA, "--port", "many"], env={"TASKSTREAM_VIEW_PORT": "3"})
    assert result.exit_code == 2
    assert "environment" not in result.output


@pytest.mark.parametrize("variable", ["TASKSTREAM_VERSION", "TASKSTREAM_HELP", "TASKSTREAM_TOPICS_HELP"])
def test_no_variable_replaces_a_command_by_its_version_or_help(variable):
    result = CliRunner().invoke(cli, ["schemas", "list"], env={variable: "1"})
    assert result.exit_code == 0
    assert "SeriesState" in result.output
    assert (
        "SeriesState" in CliRunner().invoke(cli, ["schemas", "list"], env={"TASKSTREAM_SCHEMAS_LIST_HELP": "1"}).output
    )

"""`taskstream agent copy`: its options, output and exit codes, and that a killed copy resumes."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from taskstream.compose.cli import cli
from taskstream.compose.cli.options.sizes_and_durations import bytes_of, seconds_of
from tests.private_files import write_private
from tests.producer.agent.trees import contents, plant, size_of
from tests.producer.client.scripted_edge import ScriptedEdge, error
from tests.waiting import wait_until

COMMAND = [sys.executable, "-c", "from taskstream.compose.cli import main; main()", "agent", "copy"]


@pytest.fixture
def edge():
    with ScriptedEdge() as edge:
        yield edge


@pytest.fixture
def token_file(tmp_path):
    return write_private(tmp_path / "token", "secret-token\n")


@pytest.fixture
def source(tmp_path):
    return plant(tmp_path / "src", {f"folder/{n:02}": os.urandom(300_000 + n) for n in range(20)})


def invoke(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(cli, ["agent", "copy", *map(str, arguments)], env=environment)


def test_the_result_is_printed_as_text(tmp_path, edge, source, token_file):
    result = invoke(source, tmp_path / "dst", "--task-id", "t", "--endpoint", edge.url, "--token-file", token_file)
    assert result.exit_code == 0, result.output
    assert f"copied 20 files, {size_of(source):,} bytes" in result.stdout
    assert "MIGRATE_LINUX_FILE   100 %" in result.stdout
    assert f"reports: {len(edge.acknowledged)} acknowledged, 0 retried, 0 failed" in result.stdout
    assert result.stderr == ""
    assert contents(tmp_path / "dst") == contents(source)
    assert {request.headers["X-Auth-Token"] for request in edge.requests} == {"secret-token"}


def test_the_result_is_printed_as_json(tmp_path, edge, source, token_file):
    (source / os.fsdecode(b"\xff")).mkdir()
    options = ["--task-id", "t", "--endpoint", edge.url, "--token-file", token_file, "-o", "json"]
    printed = json.loads(invoke(source, tmp_path / "dst", *options).stdout)
    assert (printed["files"], printed["bytes"], printed["complete"]) == (20, size_of(source), True)
    assert printed["reports"]["acknowledged"] == len(edge.acknowledged)
    last = edge.last("MIGRATE_LINUX_FILE")
    migrate = next(subtask for subtask in printed["subtasks"] if subtask["name"] == "MIGRATE_LINUX_FILE")
    assert (migrate["replicatesize"], migrate["totalsize"]) == (last["replicatesize"], last["totalsize"])


def test_every_option_can_come_from_the_environment(tmp_path, edge, source):
    result = invoke(
        source,
        tmp_path / "dst",
        TASKSTREAM_AGENT_COPY_TASK_ID="t-env",
        TASKSTREAM_AGENT_COPY_ENDPOINT=edge.url,
        TASKSTREAM_AGENT_COPY_TOKEN="env-token",
        TASKSTREAM_AGENT_COPY_INTERVAL="50ms",
        TASKSTREAM_AGENT_COPY_BWLIMIT="1G",
    )
    assert result.exit_code == 0, result.output
    assert edge.requests[0].path == "/v3/tasks/t-env/progress"
    assert edge.requests[0].headers["X-Auth-Token"] == "env-token"


def test_an_entry_that_is_not_copied_is_named_and_the_exit_code_is_1(tmp_path, edge, source, token_file):
    plant(tmp_path / "dst", {"folder/03/in the way": b""})
    result = invoke(source, tmp_path / "dst", "--task-id", "t", "--endpoint", edge.url, "--token-file", token_file)
    assert result.exit_code == 1
    assert result.stderr == "not copied: folder/03: Is a directory\n"
    assert "1 not copied" in result.stdout


def test_refused_reports_are_printed_without_the_token_and_the_exit_code_is_1(tmp_path, source, token_file):
    with ScriptedEdge(always=error(401, "APIGW.0301", "secret-token is no good")) as edge:
        result = invoke(source, tmp_path / "dst", "--task-id", "t", "--endpoint", edge.url, "--token-file", token_file)
    assert result.exit_code == 1
    assert "401 APIGW.0301 *** is no good" in result.stderr
    assert "the edge has not acknowledged the end of: ATTACH_AGENT_IMAGE, MIGRATE_LINUX_FILE" in result.stderr
    assert "secret-token" not in result.output
    assert contents(tmp_path / "dst") == contents(source)


@pytest.mark.parametrize(
    "wrong, named",
    [
        (["--bwlimit", "fast"], "'fast' is not a number of bytes"),
        (["--bwlimit", "0"], "'0' is not a number of bytes"),
        (["--interval", "soon"], "'soon' is not a duration"),
        (["--endpoint", "ftp://x"], "'ftp://x'"),
        (["--token", "a"], "either with --token-file or as"),
        (["--token-file", "/no/such/file"], "/no/such/file"),
        (["--unknown"], "--unknown"),
    ],
)
def test_wrong_usage_is_named_and_exits_with_2(tmp_path, source, token_file, wrong, named):
    right = ["--task-id", "t", "--endpoint", "http://127.0.0.1:9", "--token-file", token_file]
    result = invoke(source, tmp_path / "dst", *right, *wrong)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not (tmp_path / "dst").exists()


def test_a_destination_in_the_source_is_wrong_usage(source, token_file):
    result = invoke(source, source / "x", "--task-id", "t", "--endpoint", "http://h", "--token-file", token_file)
    assert result.exit_code == 2
    assert "lies in the source" in result.stderr


def test_a_destination_that_cannot_be_made_is_a_failure(tmp_path, source, token_file):
    (tmp_path / "file").touch()
    arguments = [source, tmp_path / "file/dst", "--task-id", "t", "--endpoint", "http://h", "--token-file", token_file]
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert "cannot be used" in result.stderr


def test_the_help_has_an_example():
    result = invoke("--help")
    assert result.exit_code == 0
    for word in ("--bwlimit 20M", "resume", "Exit codes", "Hard links"):
        assert word in result.output


@pytest.mark.parametrize(
    "text, size",
    [
        ("500K", 500_000),
        ("20M", 20_000_000),
        ("1G", 10**9),
        ("1.5m", 1_500_000),
        ("20Mi", 20 * 2**20),
        ("7", 7),
        ("1KB", 1000),
    ],
)
def test_sizes_are_parsed(text, size):
    assert bytes_of(None, None, text) == size


@pytest.mark.parametrize("text, seconds", [("500ms", 0.5), ("1s", 1), ("2m", 120), ("1h", 3600), ("2.5", 2.5)])
def test_durations_are_parsed(text, seconds):
    assert seconds_of(None, None, text) == seconds


@pytest.mark.parametrize("text", ["", "M", "-1", "1e3", "1 2", "٣"])
def test_invalid_sizes_and_durations_are_refused(text):
    for read in (bytes_of, seconds_of):
        with pytest.raises(click.BadParameter):
            read(None, None, text)


def start(source: Path, destination: Path, url: str, token_file: Path, *more: str) -> subprocess.Popen:
    options = ["--task-id", "t", "--endpoint", url, "--token-file", token_file, "--interval", "50ms", *more]
    return subprocess.Popen([*COMMAND, source, destination, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_bytes(process: subprocess.Popen, folder: Path, at_least: int) -> None:
    def is_there() -> bool:
        assert process.poll() is None, process.communicate()
        with suppress(FileNotFoundError):  # a part file was renamed meanwhile
            return size_of(folder) >= at_least
        return False

    wait_until(is_there)


@pytest.mark.slow
def test_a_copy_killed_at_any_moment_resumes_without_copying_everything_again(tmp_path, edge, token_file):
    # One file is large, so that some kills happen in the middle of it; the many small ones leave time for the last kill.
    source = plant(
        tmp_path / "src", {"a/large": os.urandom(6_000_000)} | {f"b/{n}": os.urandom(150_000) for n in range(100)}
    )
    (source / "b/link").symlink_to("1")
    destination = tmp_path / "dst"
    for at_least in (1_000_000, 3_500_000, 6_300_000):
        process = start(source, destination, edge.url, token_file, "--bwlimit", "1500k")
        try:
            wait_for_bytes(process, destination, at_least)
        finally:
            process.kill()
            process.communicate()
    process = start(source, destination, edge.url, token_file, "--json")
    stdout, stderr = process.communicate(timeout=300)
    assert (process.returncode, stderr) == (0, b"")
    printed = json.loads(stdout)
    assert printed["bytes"] == size_of(source)
    assert printed["bytes_moved"] <= size_of(source) - 6_000_000
    assert contents(destination) == contents(source)
    assert edge.last("MIGRATE_LINUX_FILE")["replicatesize"] == size_of(source)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_copy_cleanly_and_the_output_tells_how_to_resume(tmp_path, edge, source, token_file, number):
    process = start(source, tmp_path / "dst", edge.url, token_file, "--bwlimit", "200k")
    wait_for_bytes(process, tmp_path / "dst", 300_000)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 130
    assert b"repeat the command to resume" in stderr
    assert b"Traceback" not in stderr
    assert b"acknowledged" in stdout
    last = edge.acknowledged[-1].body
    assert last["process_trace"].startswith("stopped")
    assert (last["subtask_name"], last["progress"] < 100) == ("MIGRATE_LINUX_FILE", True)
    assert last["replicatesize"] < last["totalsize"] == size_of(source)

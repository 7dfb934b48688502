"""What a log must not hold: local variables, messages of unexpected exceptions, and control characters."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from taskstream.compose.cli.output.logs import log_to_standard_error

TOKEN = "the-token-of-somebody"


def fail(token: str) -> None:
    kept = f"{token}!"
    raise ValueError(f"cannot read {kept}")


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    handlers = list(logging.getLogger().handlers)
    log_to_standard_error()
    yield
    logging.getLogger().handlers = handlers
    structlog.reset_defaults()


def test_an_exception_is_logged_by_its_type_and_place_and_without_any_value(capsys: pytest.CaptureFixture[str]):
    try:
        fail(TOKEN)
    except ValueError as error:
        structlog.get_logger("t").error("broken", exc_info=error)
    written = capsys.readouterr().err
    assert "builtins.ValueError" in written
    assert "test_logs.py" in written
    assert "in fail" in written
    assert TOKEN not in written


def test_the_log_of_a_library_has_no_value_either(capsys: pytest.CaptureFixture[str]):
    try:
        fail(TOKEN)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    written = capsys.readouterr().err
    assert "Exception in ASGI application" in written
    assert "in fail" in written
    assert TOKEN not in written


def test_many_partitions_are_ranges_in_a_line_and_numbers_in_json(capsys: pytest.CaptureFixture[str]):
    partitions = [*range(480), 482]
    structlog.get_logger("t").info("assigned", partitions=partitions, none=[])
    written = capsys.readouterr().err
    assert "partitions='0-479, 482'" in written
    assert "none=[]" in written
    log_to_standard_error("json", "worker")
    structlog.get_logger("t").info("assigned", partitions=partitions)
    assert json.loads(capsys.readouterr().err)["partitions"] == partitions


def test_a_value_cannot_control_the_terminal_or_begin_a_line(capsys: pytest.CaptureFixture[str]):
    structlog.get_logger("t").warning("refused", problem="a\x1b[2J\nb\u202e" + "x" * 10_000)
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert r"a\x1b[2J\nb\u202ex" in written
    assert len(written) < 3_000


def test_a_process_writes_on_sigusr1_where_its_threads_are_and_goes_on():
    code = (
        "import os, signal; from taskstream.compose.cli.output.logs import show_threads_on_signal\n"
        "show_threads_on_signal(); os.kill(os.getpid(), signal.SIGUSR1); print('goes on')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300)
    assert 'File "<string>", line 2 in <module>' in done.stderr
    assert done.stdout == "goes on\n"


def test_in_json_a_line_is_an_object_with_the_common_keys_first(capsys: pytest.CaptureFixture[str]):
    log_to_standard_error("json", "edge")
    structlog.get_logger("t").warning("refused", problem="a\x1b[2J\nb\u202e" + "x" * 10_000, partitions=[1, 2])
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert [*event][:4] == ["time", "level", "service", "event"]
    assert (event["level"], event["service"], event["event"]) == ("warning", "edge", "refused")
    assert event["partitions"] == [1, 2]
    assert datetime.fromisoformat(event["time"]).tzinfo is UTC
    assert line.isascii()
    assert len(line) < 3_000


def test_in_json_an_exception_is_a_key_without_any_value(capsys: pytest.CaptureFixture[str]):
    log_to_standard_error("json", "edge")
    try:
        fail(TOKEN)
    except ValueError as error:
        structlog.get_logger("t").error("broken", exc_info=error)
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    ours, library = map(json.loads, capsys.readouterr().err.splitlines())
    assert "builtins.ValueError" in ours["exception"]
    assert "in fail" in ours["exception"]
    assert (library["library"], library["event"]) == ("uvicorn.error", "Exception in ASGI application")
    assert "in fail" in library["exception"]
    assert TOKEN not in ours["exception"] + library["exception"]


@pytest.mark.slow
def test_a_process_that_fails_says_so_in_json():
    command = ["edge", "--bootstrap-servers", "127.0.0.1:1", "--log-format", "json"]
    done = subprocess.run([sys.executable, "-m", "taskstream", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["service"], last["event"], last["level"]) == ("edge", "failed", "critical")
    assert "give --tokens, --keys or --keystone" in last["why"]

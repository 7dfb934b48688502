"""Commands that ask about a group, while the process that asks for them is aborted: one sentence, and exit code 1."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli

pytestmark = pytest.mark.slow


@pytest.fixture
def aborted(tmp_path, monkeypatch):
    """In the place of the interpreter that new processes run."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -ABRT $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


@pytest.mark.parametrize("command", [["lag"], ["replay", "rebuild"], ["doctor"]], ids=" ".join)
def test_a_command_outlives_the_process_that_asks(command, broker, topics, aborted):
    arguments = ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
    result = CliRunner().invoke(cli, [*command, *arguments])
    assert result.exit_code == 1
    assert "was ended by SIGABRT: is a broker away?" in result.output
    assert isinstance(result.exception, SystemExit)

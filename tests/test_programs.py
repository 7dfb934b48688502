"""What the tests start the program with."""

from __future__ import annotations

from tests.programs import Program
from tests.waiting import LIMIT_S


def test_a_signal_to_a_program_whose_end_is_not_told_yet_is_nothing(tmp_path, monkeypatch):
    program = Program(["--version"], tmp_path / "log")
    assert program.wait(LIMIT_S) == 0
    monkeypatch.setattr(program, "poll", lambda: None)  # the fork server has reaped it, and its exit code is on the way

    program.send_signal(0)

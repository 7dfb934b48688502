"""What a terminal would execute or reorder is escaped, and JSON keeps its value."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from taskstream.schemas.terminal_text import terminal_json, terminal_lines, terminal_text

HOSTILE = "a\x1b[2J\x7f\x9b\r\n\N{RIGHT-TO-LEFT OVERRIDE}b\tü中\udcff\N{LANGUAGE TAG}"


def test_control_c1_and_bidirectional_characters_are_escaped():
    assert terminal_text(HOSTILE) == r"a\x1b[2J\x7f\x9b\r\n\u202eb\tü中\udcff\U000e0001"


def test_lines_keep_their_line_feeds():
    assert terminal_lines("a\nb\x1b") == "a\nb\\x1b"


@given(st.text(st.characters()))
def test_every_text_is_printable_and_json_gives_it_back(text):
    assert terminal_text(text).isprintable()
    shown = terminal_json({"a": [text]})
    assert shown.isprintable()
    assert json.loads(shown) == {"a": [text]}


def test_commands_write_to_the_terminal_by_one_function():
    writes = re.compile(r"click\.s?echo\(|sys\.stdout\.write|(?<![\w.])(?<!def )print\(")
    found = [
        str(path)
        for path in sorted(Path("compose").rglob("*.py"))
        if path != Path("compose/cli/output/terminal.py") and writes.search(path.read_text("utf-8"))
    ]
    assert found == []

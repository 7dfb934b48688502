"""Tokens in a file."""

from __future__ import annotations

import asyncio

import pytest

from taskstream.producer.callers.token_file import TokenFile, parse_tokens, token_line
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Role
from taskstream.schemas.http.request import HttpRequest


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(tokens, token):
    request = HttpRequest("PUT", b"/", b"", [(b"x-auth-token", token.encode())])
    return asyncio.run(tokens.authenticate(request, b""))


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "tokens"
    made.write_text("# who may\n\n" + token_line("open sesame", "p", [Role.REPORT]) + "\n")
    return made


def test_a_token_gives_its_project_and_roles(path):
    tokens = TokenFile(path, print)
    tokens.load()
    assert ask(tokens, "open sesame").project_id == "p"
    assert ask(tokens, "open sesame").roles == {Role.REPORT}
    assert ask(tokens, "other") is None


def test_the_file_does_not_hold_the_token(path):
    assert "sesame" not in path.read_text()


def test_a_changed_file_is_read_within_a_second(path):
    clock = Clock()
    tokens = TokenFile(path, print, clock)
    tokens.load()
    ask(tokens, "x")
    path.write_text(token_line("new", "q", [Role.READ]) + "\n")
    clock.now = 1.0
    assert ask(tokens, "new").project_id == "q"
    assert ask(tokens, "open sesame") is None


def test_a_file_that_became_unreadable_leaves_the_last_one_in_force(path):
    clock, problems = Clock(), []
    tokens = TokenFile(path, problems.append, clock)
    tokens.load()
    path.write_text("{")
    clock.now = 1.0
    assert ask(tokens, "open sesame") is not None
    assert "stay in force" in problems[0]


def test_a_missing_file_is_told_at_the_start(tmp_path):
    with pytest.raises(CredentialsUnusable, match="cannot be read"):
        TokenFile(tmp_path / "none", print).load()


@pytest.mark.parametrize(
    "line",
    [
        "x",
        "[]",
        '{"sha256": "00"}',
        token_line("t", "a/b", []),
        token_line("t", "", []),
        token_line("t", "p", []).replace("[]", '"report"'),
    ],
)
def test_a_wrong_line_is_told_by_its_number(line):
    with pytest.raises(CredentialsUnusable, match="line 1"):
        parse_tokens([line], "tokens")

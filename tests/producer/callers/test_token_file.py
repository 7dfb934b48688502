"""Tokens in a file."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest

from taskstream.producer.callers.token_file import StoredToken, TokenFile, hashed, parse_tokens, token_line
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Caller, Role
from taskstream.schemas.http.request import HttpRequest
from tests.private_files import write_private


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
    write_private(made, "# who may\n\n" + token_line("open sesame", "p", [Role.REPORT]) + "\n")
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
    assert "keep their access" in problems[0]


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


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused_with_the_command_that_mends_it(path, mode):
    path.chmod(mode)
    with pytest.raises(CredentialsUnusable, match=f"mode {mode:o}.*run `chmod 600 {path}`"):
        TokenFile(path, print).load()


def test_a_file_that_others_may_write_from_now_on_is_not_read_again(path):
    clock, problems = Clock(), []
    tokens = TokenFile(path, problems.append, clock)
    tokens.load()
    path.write_text(token_line("forged", "q", [Role.OPERATE]) + "\n")
    path.chmod(0o666)
    clock.now = 1.0
    assert ask(tokens, "forged") is None
    assert "chmod 600" in problems[0]
    path.chmod(0o600)
    clock.now = 2.0
    assert ask(tokens, "forged") is not None


def test_a_deleted_file_is_reported_once_and_its_tokens_keep_their_access(path):
    clock, problems = Clock(), []
    tokens = TokenFile(path, problems.append, clock)
    tokens.load()
    path.unlink()
    for second in range(1, 6):
        clock.now = float(second)
        assert ask(tokens, "open sesame") is not None
    (problem,) = problems
    assert "keep their access until the process restarts" in problem


def test_a_file_that_is_there_again_and_deleted_again_is_reported_again(path):
    clock, problems = Clock(), []
    tokens = TokenFile(path, problems.append, clock)
    tokens.load()
    for second in (1.0, 3.0):
        path.unlink()
        clock.now = second
        ask(tokens, "x")
        write_private(path, token_line("new", "q", [Role.READ]) + "\n")
        clock.now = second + 1.0
        assert ask(tokens, "new") is not None
    assert len(problems) == 2


def test_an_empty_file_revokes_all_access(path):
    clock = Clock()
    tokens = TokenFile(path, print, clock)
    tokens.load()
    assert ask(tokens, "open sesame") is not None
    path.write_text("")
    clock.now = 1.0
    assert ask(tokens, "open sesame") is None


def test_a_token_is_accepted_until_it_expires(path):
    expiring = json.loads(token_line("brief", "p", [Role.REPORT])) | {
        "expires_at": "2026-11-26T12:00:00Z",
        "label": "x",
    }
    path.write_text(json.dumps(expiring) + "\n")
    now_s = datetime(2026, 11, 26, 11, 59, 59, tzinfo=UTC).timestamp()
    tokens = TokenFile(path, print, now_s=lambda: now_s)
    tokens.load()
    assert ask(tokens, "brief").project_id == "p"
    assert tokens.known(b"brief").project_id == "p"
    now_s += 1
    assert ask(tokens, "brief") is None
    assert tokens.known(b"brief") is None


@pytest.mark.parametrize(
    "more", [{"label": 5}, {"label": "a\nb"}, {"expires_at": "tomorrow"}, {"expires_at": "2026-11-26"}]
)
def test_a_bad_label_or_expiry_is_told_with_its_line(more):
    line = json.dumps(json.loads(token_line("t", "p", [])) | more)
    with pytest.raises(CredentialsUnusable, match=r"tokens, line 1: .*" + re.escape(repr(next(iter(more.values()))))):
        parse_tokens([line], "tokens")


def test_a_line_reads_as_what_it_was_written_from():
    expires_at = datetime(2027, 1, 31, tzinfo=UTC)
    token = StoredToken(hashed("t"), Caller("p", frozenset([Role.READ])), "Zoë's laptop", expires_at)
    assert parse_tokens([token.line()], "tokens") == {token.sha256: token}

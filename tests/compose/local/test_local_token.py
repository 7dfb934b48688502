"""The token of a local stack: the same after a restart, and its owner's alone."""

from __future__ import annotations

import stat

import pytest

from taskstream.compose.local.local_token import PROJECT, local_token
from taskstream.producer.callers.token_file import hashed, parse_tokens
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Role


def callers(path):
    return parse_tokens(path.read_text().splitlines(), str(path))


def test_a_token_is_made_once(tmp_path):
    assert local_token(tmp_path) == local_token(tmp_path)


def test_two_folders_have_different_tokens(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert local_token(tmp_path / "a").token != local_token(tmp_path / "b").token


def test_it_may_report_and_read_and_sees_all_projects(tmp_path):
    made = local_token(tmp_path)
    caller = callers(made.tokens_file)[hashed(made.token)]
    assert (caller.project_id, caller.roles) == (PROJECT, {Role.REPORT, Role.READ, Role.OPERATE})


def test_only_the_owner_may_read_it_and_the_other_file_does_not_hold_it(tmp_path):
    made = local_token(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert made.token not in made.tokens_file.read_text()


def test_tokens_that_were_added_stay(tmp_path):
    made = local_token(tmp_path)
    added = '{"sha256": "' + "0" * 64 + '", "project": "p", "roles": ["read"]}\n'
    made.tokens_file.write_text(added)
    assert local_token(tmp_path).token == made.token
    assert set(callers(made.tokens_file)) == {"0" * 64, hashed(made.token)}


def test_a_file_that_holds_something_else_is_an_error(tmp_path):
    (tmp_path / "tokens.jsonl").write_text("nonsense\n")
    with pytest.raises(CredentialsUnusable, match=r"tokens\.jsonl, line 1"):
        local_token(tmp_path)

"""The token of a local stack: it survives a restart, and only its owner can read it."""

from __future__ import annotations

import stat

import pytest

from taskstream.compose.local.local_token import PROJECT, local_token
from taskstream.producer.callers.token_file import hashed, parse_tokens
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Role


def callers(path):
    return parse_tokens(path.read_text().splitlines(), str(path))


def test_a_token_is_generated_once(tmp_path):
    assert local_token(tmp_path) == local_token(tmp_path)


def test_two_folders_have_different_tokens(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert local_token(tmp_path / "a").token != local_token(tmp_path / "b").token


def test_it_has_the_roles_report_read_and_operate(tmp_path):
    made = local_token(tmp_path)
    caller = callers(made.tokens_file)[hashed(made.token)].caller
    assert (caller.project_id, caller.roles) == (PROJECT, {Role.REPORT, Role.READ, Role.OPERATE})


def test_only_the_owner_can_read_it_and_the_file_of_hashes_does_not_contain_it(tmp_path):
    made = local_token(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert made.token not in made.tokens_file.read_text()


def test_tokens_that_were_added_stay(tmp_path):
    made = local_token(tmp_path)
    added = '{"sha256": "' + "0" * 64 + '", "project": "p", "roles": ["read"]}\n'
    made.tokens_file.write_text(added)
    assert local_token(tmp_path).token == made.token
    assert set(callers(made.tokens_file)) == {"0" * 64, hashed(made.token)}


def test_an_invalid_file_of_hashes_is_an_error(tmp_path):
    (tmp_path / "tokens.jsonl").write_text("nonsense\n")
    with pytest.raises(CredentialsUnusable, match=r"tokens\.jsonl, line 1"):
        local_token(tmp_path)

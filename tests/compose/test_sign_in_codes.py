"""A code gives its token once, for ten minutes, to one of several who ask at the same time."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskstream.compose.sign_in_codes import VALID_S, SignInCodes

NOW_S = 1_795_600_000.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sign-in"


def test_a_code_gives_its_token_once(folder):
    codes = SignInCodes(folder)
    first, second = codes.issue("token-1"), codes.issue("token-2")
    assert [codes.take(first), codes.take(first), codes.take(second)] == ["token-1", None, "token-2"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("passed_s", "token"), [(VALID_S - 1, "t"), (VALID_S, None), (-1, None)])
def test_a_code_expires_and_one_of_the_future_is_none(folder, passed_s, token):
    code = SignInCodes(folder, lambda: NOW_S).issue("t")
    assert SignInCodes(folder, lambda: NOW_S + passed_s).take(code) == token
    assert SignInCodes(folder, lambda: NOW_S).take(code) is None


def test_an_expired_one_is_removed_when_another_is_issued(folder):
    SignInCodes(folder, lambda: NOW_S).issue("old")
    SignInCodes(folder, lambda: NOW_S + VALID_S).issue("new")
    assert [each.read_text() for each in folder.iterdir()] == ["new"]


def test_of_many_who_take_it_one_gets_the_token(folder):
    codes = SignInCodes(folder)
    code = codes.issue("t")
    with ThreadPoolExecutor(8) as pool:
        assert sorted(filter(None, pool.map(codes.take, [code] * 64))) == ["t"]


@pytest.mark.parametrize("code", ["", "nothing", "../token", "x" * 10_000, "\u202e\x00", "\ud800"])
def test_what_is_no_code_gives_nothing(folder, code):
    folder.parent.joinpath("token").write_text("secret")
    SignInCodes(folder).issue("t")
    assert SignInCodes(folder).take(code) is None


def test_only_the_owner_can_read_it_and_the_code_is_not_in_it(folder):
    code = SignInCodes(folder).issue("t")
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert code not in file.name + file.read_text()

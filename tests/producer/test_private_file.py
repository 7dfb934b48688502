"""A file with a secret is private, or the command that makes it so is named."""

from __future__ import annotations

import os
import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from taskstream.compose.errors import TlsUnusable
from taskstream.compose.server.serve import Tls
from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.errors import TokenUnusable
from taskstream.producer.private_file import exposure
from tests.pipeline.edge.certificates import Authority
from tests.private_files import write_private


def found(mode: int, owner: int) -> Any:
    return SimpleNamespace(st_mode=0o100000 | mode, st_uid=owner)


@pytest.mark.parametrize(("mode", "owner"), [(0o600, 7), (0o400, 7), (0o640, 0), (0o440, 0), (0o400, 0)])
def test_private(tmp_path, mode, owner):
    assert exposure(tmp_path, found(mode, owner), own_uid=7) is None


@pytest.mark.parametrize(
    ("mode", "owner", "command"),
    [
        (0o640, 7, "chmod 600"),
        (0o604, 7, "chmod 600"),
        (0o602, 7, "chmod 600"),
        (0o644, 0, "chmod 640"),
        (0o660, 0, "chmod 640"),
    ],
)
def test_not_private(tmp_path, mode, owner, command):
    problem = exposure(tmp_path / "a b", found(mode, owner), own_uid=7)
    assert problem is not None
    assert f"mode {mode:o}" in problem
    assert f"{command} '{tmp_path}/a b'" in problem


def test_root_itself_shares_with_no_group(tmp_path):
    assert exposure(tmp_path, found(0o640, 0), own_uid=0) is not None


def test_a_client_refuses_a_token_that_others_can_read(tmp_path):
    path = write_private(tmp_path / "token", "secret")
    assert AuthToken.in_file(path).read() == "secret"
    path.chmod(0o604)
    with pytest.raises(TokenUnusable, match=f"run `chmod 6[04]0 {path}`"):
        AuthToken.in_file(path).read()


def test_a_server_refuses_a_key_that_others_can_read(tmp_path):
    pair = Authority(tmp_path, "authority").vouch_for("server")
    assert Tls(pair.certificate, pair.key).context().options & ssl.OP_NO_RENEGOTIATION
    os.chmod(pair.key, 0o644)  # noqa: PTH101 -- as an operator does it
    with pytest.raises(TlsUnusable, match=f"run `chmod 6[04]0 {pair.key}`"):
        Tls(pair.certificate, pair.key).context()

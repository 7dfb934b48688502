"""The token of a stack on this machine: made once, kept in the data folder for its owner alone."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from taskstream.producer.callers.token_file import hashed, parse_tokens, token_line
from taskstream.schemas.http.caller import Role

PROJECT = "local"


@dataclass(frozen=True)
class LocalToken:
    """The token in clear, for the curl line, and the file of hashes that the edge and the view are given."""

    token: str
    tokens_file: Path


def local_token(data_dir: Path) -> LocalToken:
    """The folder's token, made at the first call. The hashes may be added to; the token stays among them.

    Raises:
        CredentialsUnusable: the file of hashes was changed into something else.
    """
    clear, hashes = data_dir / "token", data_dir / "tokens.jsonl"
    token = clear.read_text("ascii").strip() if clear.exists() else ""
    if not token:
        token = secrets.token_urlsafe(32)
        _append(clear, token)
    lines = hashes.read_text("utf-8").splitlines() if hashes.exists() else []
    if hashed(token) not in parse_tokens(lines, str(hashes)):
        _append(hashes, token_line(token, PROJECT, [Role.REPORT, Role.READ, Role.OPERATE]))
    return LocalToken(token, hashes)


def _append(path: Path, line: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:
        file.write(f"{line}\n")

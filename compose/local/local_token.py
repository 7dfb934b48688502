"""The token of a local stack: generated once and kept in the data folder, readable only by its owner."""

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
    """The token, for the printed curl commands, and the file of hashed tokens for the edge and the view."""

    token: str
    tokens_file: Path


def local_token(data_dir: Path) -> LocalToken:
    """The token of this data folder, generated at the first call. Tokens that were added to the file stay in it.

    Raises:
        CredentialsUnusable: the file of hashed tokens is invalid.
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

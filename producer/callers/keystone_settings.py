"""The file that says where a Keystone v3 identity service is, who we are there, and what its roles mean here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from taskstream.producer.callers.token_file import roles
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Role

CACHE_S: Final = 300.0
"""A revoked token lives on that long, as with keystonemiddleware."""
DEFAULT_ROLES: Final[Mapping[str, frozenset[Role]]] = MappingProxyType(
    {
        "reader": frozenset({Role.READ}),
        "member": frozenset({Role.REPORT, Role.READ}),
        "admin": frozenset({Role.REPORT, Role.READ, Role.OPERATE}),
    }
)
_WORDS: Final = ("url", "username", "password", "project")
_MAY: Final = ("domain", "ca_file", "roles", "cache_s")
_FORM: Final = f"needs the texts {', '.join(_WORDS)}, and may have {', '.join(_MAY)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeystoneSettings:
    """What the file says. The password is kept out of its repr."""

    url: str
    """With or without `/v3` at its end."""
    username: str
    """Of an account that may validate the tokens of others: Keystone gives that to its roles service and admin."""
    password: str = field(repr=False)
    project: str
    domain: str = "Default"
    """The domain's name, of user and project."""
    ca_file: str | None = None
    roles: Mapping[str, frozenset[Role]] = field(default_factory=lambda: DEFAULT_ROLES)
    """What each of the service's roles may do here; one that is not named may do nothing."""
    cache_s: float = CACHE_S
    """How long a good token is remembered, and so how long a revoked one lives on."""


def read_keystone_settings(path: Path) -> KeystoneSettings:
    """The settings in a JSON file.

    Raises:
        CredentialsUnusable: it cannot be read, or a member is missing or wrong; the message has no secret.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CredentialsUnusable(f"{path} cannot be read as JSON: {type(error).__name__}") from error
    if not isinstance(document, dict) or not document.keys() <= {*_WORDS, *_MAY}:
        raise CredentialsUnusable(f"{path} {_FORM}, and nothing else")
    texts: dict[str, Any] = {name: document.get(name) for name in _WORDS}
    texts |= {name: document[name] for name in ("domain", "ca_file") if name in document}
    wrong = [name for name, value in texts.items() if not isinstance(value, str) or not value]
    if wrong:
        raise CredentialsUnusable(f"{path} {_FORM}; missing or no text: {', '.join(wrong)}")
    if not document["url"].startswith(("http://", "https://")):
        raise CredentialsUnusable(f"{path}: url must begin with https:// or http://")
    return KeystoneSettings(
        **texts,
        roles=_mapping(document["roles"], path) if "roles" in document else DEFAULT_ROLES,
        cache_s=_seconds(document.get("cache_s", CACHE_S), path),
    )


def _mapping(value: Any, path: Path) -> Mapping[str, frozenset[Role]]:
    if not isinstance(value, dict):
        raise CredentialsUnusable(f'{path}: roles must be like {{"member": ["report", "read"]}}')
    return {name: roles(ours, f"{path}, role {name!r}") for name, ours in value.items()}


def _seconds(value: Any, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
        raise CredentialsUnusable(f"{path}: cache_s must be a number of seconds from 0 to 86400")
    return float(value)

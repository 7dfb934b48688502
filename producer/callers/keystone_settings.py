"""The settings file of a Keystone v3 identity service: its address, our account there, and the mapping of its roles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from taskstream.producer.callers.credentials_file import require_private
from taskstream.producer.callers.token_file import roles
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.errors import cause_of
from taskstream.schemas.http.caller import Role

CACHE_S: Final = 300.0
"""A revoked token stays valid here for this long, as with keystonemiddleware."""
RESPONSE_S: Final = 5.0
"""The longest that a request waits for the service, whatever the number of waiting requests."""
DEFAULT_ROLES: Final[Mapping[str, frozenset[Role]]] = MappingProxyType(
    {
        "reader": frozenset({Role.READ}),
        "member": frozenset({Role.REPORT, Role.READ}),
        "admin": frozenset({Role.REPORT, Role.READ, Role.OPERATE}),
    }
)
_REQUIRED: Final = ("url", "username", "password", "project")
_OPTIONAL: Final = ("domain", "ca_file", "roles", "cache_s", "response_s")
_FORM: Final = f"needs the strings {', '.join(_REQUIRED)}, and may have {', '.join(_OPTIONAL)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeystoneSettings:
    """The content of the file. Its repr leaves the password out."""

    url: str
    """With or without `/v3` at its end."""
    username: str
    """The account must be allowed to validate other tokens: Keystone allows the roles service and admin to."""
    password: str = field(repr=False)
    project: str
    domain: str = "Default"
    """Name of the domain of user and project."""
    ca_file: str | None = None
    roles: Mapping[str, frozenset[Role]] = field(default_factory=lambda: DEFAULT_ROLES)
    """Our roles by the service's role; a role that is not listed grants nothing."""
    cache_s: float = CACHE_S
    """How long a valid token is cached, and so how long a revoked one stays valid."""
    response_s: float = RESPONSE_S
    """The longest that a caller waits for the service."""


def read_keystone_settings(path: Path) -> KeystoneSettings:
    """The settings in a JSON file.

    Raises:
        CredentialsUnusable: the file cannot be read, others than its owner may read or write it, or a member is
            missing or invalid; the message has no secret.
    """
    try:
        require_private(path, path.stat())
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CredentialsUnusable(
            f"{path} cannot be read ({cause_of(error)}): give the path of a readable file"
        ) from error
    except ValueError as error:
        raise CredentialsUnusable(f"{path} cannot be read as JSON: {type(error).__name__}") from error
    if not isinstance(document, dict) or not document.keys() <= {*_REQUIRED, *_OPTIONAL}:
        raise CredentialsUnusable(f"{path} {_FORM}, and nothing else")
    strings: dict[str, Any] = {name: document.get(name) for name in _REQUIRED}
    strings |= {name: document[name] for name in ("domain", "ca_file") if name in document}
    invalid = [name for name, value in strings.items() if not isinstance(value, str) or not value]
    if invalid:
        raise CredentialsUnusable(f"{path} {_FORM}; missing, empty or not a string: {', '.join(invalid)}")
    if not document["url"].startswith(("http://", "https://")):
        raise CredentialsUnusable(f"{path}: url must begin with https:// or http://")
    return KeystoneSettings(
        **strings,
        roles=_mapping(document["roles"], path) if "roles" in document else DEFAULT_ROLES,
        cache_s=_seconds(document, "cache_s", CACHE_S, 0, path),
        response_s=_seconds(document, "response_s", RESPONSE_S, 1, path),
    )


def _mapping(value: Any, path: Path) -> Mapping[str, frozenset[Role]]:
    if not isinstance(value, dict):
        raise CredentialsUnusable(f'{path}: roles must have the form {{"member": ["report", "read"]}}')
    return {name: roles(ours, f"{path}, role {name!r}") for name, ours in value.items()}


def _seconds(document: Mapping[str, Any], name: str, default: float, least: int, path: Path) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= 86_400:
        raise CredentialsUnusable(f"{path}: {name} must be a number of seconds from {least} to 86400")
    return float(value)

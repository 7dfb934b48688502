"""The sentence about a right that Kafka's authorizer does not grant: who may not do what to what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_ANONYMOUS: Final = "User:ANONYMOUS"
_UNKNOWN: Final = "User:NAME"
_WORDS: Final = {
    "Write": "write to",
    "Read": "read",
    "Describe": "describe",
    "IdempotentWrite": "write idempotently to",
}


def principal_of(config: Mapping[str, Any]) -> str:
    """Kafka's name of the user that a client with this configuration is; `User:NAME` when only the broker knows it."""
    protocol = str(config.get("security.protocol", "plaintext")).lower()
    if protocol.startswith("sasl"):
        name = config.get("sasl.username")
        return f"User:{name}" if name else _UNKNOWN
    return _UNKNOWN if protocol == "ssl" else _ANONYMOUS


def denied(config: Mapping[str, Any], operation: str, kind: str, name: str = "") -> str:
    """The sentence: the user of this configuration lacks `operation` on the resource.

    operation: Kafka's name of it, such as Write. kind: topic, group, transactional id or cluster.
    """
    principal = principal_of(config)
    who = "this client's user" if principal == _UNKNOWN else principal
    what = f"the {kind} {name}".rstrip()
    return f"{who} may not {_WORDS[operation]} {what}: grant {principal} the operation {operation} on it"

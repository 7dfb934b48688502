"""Which role the claims of an ID token give. It knows no protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from taskstream.consumer.errors import SignInRefused
from taskstream.schemas.http.caller import Caller, Role

OPERATORS: Final = "operations"
"""The project of an operator for whom no other is configured."""
LONGEST_NAME: Final = 100
_NAMES: Final = ("preferred_username", "email", "name", "sub")
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """The role of people whose claim has this value, and the project that they act for."""

    value: str
    role: Role
    project_id: str


@dataclass(frozen=True, slots=True)
class RoleClaims:
    """The claim that is read, and what its values give; other values give nothing."""

    claim: str
    """The name of the claim, or a path in nested ones with dots, such as `realm_access.roles`."""
    grants: tuple[RoleGrant, ...]

    def caller(self, claims: Mapping[str, Any]) -> Caller:
        """The person of a valid ID token. Of several grants, the one of an operator decides, else the first configured.

        Raises:
            SignInRefused: no value of the claim gives a role; the message names the claim and the values that do.
        """
        values = _values(_found(claims, self.claim))
        matching = [each for each in self.grants if each.value in values]
        if not matching:
            raise SignInRefused(self._refusal(values))
        grant = next((each for each in matching if each.role is Role.OPERATE), matching[0])
        return Caller(grant.project_id, frozenset({grant.role}), name=name_of(claims))

    def _refusal(self, values: list[str]) -> str:
        has = f"has {_listed(values)}" if values else "is missing or empty"
        wanted = _listed([each.value for each in self.grants])
        return f"the claim {self.claim!r} of your account {has}; a role here needs one of {wanted}"


def name_of(claims: Mapping[str, Any]) -> str:
    """Who it is, for people."""
    for each in _NAMES:
        value = claims.get(each)
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value.strip()[:LONGEST_NAME]
    return ""


def _found(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of this name, else the one at this path."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _values(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _listed(values: list[str]) -> str:
    shown = ", ".join(repr(each[:100]) for each in values[:_SHOWN])
    return shown + (f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")

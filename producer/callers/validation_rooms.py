"""How many tokens may be under validation at once, so that unknown tokens leave room for callers known before.

It knows neither tokens nor the identity service.
"""

from __future__ import annotations

import asyncio
import enum
import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

PER_SOURCE: Final = 32
"""Unknown tokens from one source that are validated or wait for it."""
AT_ONCE_PER_SOURCE: Final = 4
"""How many of them are validated at once: fewer than a room has threads."""
KNOWN_SOURCES: Final = 10_000
_IPV6_NETWORK_BITS: Final = 64


class ValidationRoom(enum.Enum):
    """A share of the validations, each with threads of its own; the value is how many run or wait at most."""

    RESERVED = 256
    """Tokens that were valid before, and new tokens from a source that had a valid one."""
    OPEN = 128
    """All other tokens."""


@dataclass(slots=True)
class ValidationSource:
    """Where unknown tokens come from."""

    places: int = 0
    """How many it holds."""
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_PER_SOURCE))
    """A validation runs while it holds one."""


@dataclass(frozen=True, slots=True)
class ValidationPlace:
    """A place in a room, from `enter` to `leave`."""

    room: ValidationRoom
    name: str
    source: ValidationSource | None
    """The source that it counts for, of this name; None: it counts for none."""


class ValidationRooms:
    """Counts the validations. `per_source` of 0 means that callers have no source, as behind a proxy."""

    def __init__(self, per_source: int = PER_SOURCE) -> None:
        self._per_source = per_source
        self._in_room: Counter[ValidationRoom] = Counter()
        self._sources: dict[str, ValidationSource] = {}
        self._known_sources: dict[str, None] = {}  # in the order of their last valid token

    def enter(self, address: str, *, known_token: bool) -> ValidationPlace | None:
        """A place for one validation; None when there is none. `known_token`: the token was valid before."""
        if known_token or not self._per_source:
            room = ValidationRoom.RESERVED if known_token else ValidationRoom.OPEN
            return ValidationPlace(room, "", None) if self._count(room) else None
        name = source_of(address)
        source = self._sources.get(name) or ValidationSource()
        room = ValidationRoom.RESERVED if name in self._known_sources else ValidationRoom.OPEN
        if source.places >= self._per_source or not self._count(room):
            return None
        source.places += 1
        self._sources[name] = source
        return ValidationPlace(room, name, source)

    def leave(self, place: ValidationPlace) -> None:
        """The validation is over."""
        self._in_room[place.room] -= 1
        if place.source is not None:
            place.source.places -= 1
            if not place.source.places:
                del self._sources[place.name]

    def was_valid(self, place: ValidationPlace) -> None:
        """The token of this validation is valid: its source is known from now on."""
        if place.source is None:
            return
        self._known_sources.pop(place.name, None)
        while len(self._known_sources) >= KNOWN_SOURCES:
            del self._known_sources[next(iter(self._known_sources))]
        self._known_sources[place.name] = None

    def _count(self, room: ValidationRoom) -> bool:
        """Count one more in this room, if it is not full."""
        if self._in_room[room] >= room.value:
            return False
        self._in_room[room] += 1
        return True


def source_of(address: str) -> str:
    """What one client may have many addresses of: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))

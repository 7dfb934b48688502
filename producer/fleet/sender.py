"""How a simulated fleet's reports get away: the protocol that the driver uses, and a way to nowhere for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from taskstream.producer.fleet.delivery_counts import Tally
from taskstream.producer.fleet.fleet import Order


class Way(Protocol):
    """Takes reports without waiting, and tells a Tally what became of each."""

    def send(self, order: Order) -> bool:
        """Take the report on its way; False when too much is on its way already: then it is not sent."""
        ...

    def wait_for_room(self) -> None:
        """Return when something has got away, or after a moment."""
        ...


@dataclass
class Nowhere:
    """Acknowledges everything at once, and refuses what `room` has no place for."""

    tally: Tally
    room: int = 2**62
    orders: list[Order] = field(default_factory=list)

    def send(self, order: Order) -> bool:
        """See `Way`."""
        if len(self.orders) >= self.room:
            return False
        self.orders.append(order)
        self.tally.acknowledged(order, attempts=1)
        return True

    def wait_for_room(self) -> None:
        """See `Way`."""
        self.room += 1

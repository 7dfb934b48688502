"""How a simulated fleet's reports get away: the protocol that the driver uses, and a way to nowhere for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from taskstream.producer.fleet.delivery_counts import DeliveryCounts
from taskstream.producer.fleet.fleet import FleetReport


class Sender(Protocol):
    """Takes reports without waiting, and tells a Tally what became of each."""

    def send(self, order: FleetReport) -> bool:
        """Take the report on its way; False when too much is on its way already: then it is not sent."""
        ...

    def wait_for_room(self) -> None:
        """Return when something has got away, or after a moment."""
        ...


@dataclass
class NullSender:
    """Acknowledges everything at once, and refuses what `room` has no place for."""

    counts: DeliveryCounts
    room: int = 2**62
    orders: list[FleetReport] = field(default_factory=list)

    def send(self, order: FleetReport) -> bool:
        """See `Sender`."""
        if len(self.orders) >= self.room:
            return False
        self.orders.append(order)
        self.counts.acknowledged(order, attempts=1)
        return True

    def wait_for_room(self) -> None:
        """See `Sender`."""
        self.room += 1

"""The protocol by which the open loop sends reports, and a sender for tests that sends nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from taskstream.producer.fleet.delivery_counts import DeliveryCounts
from taskstream.producer.fleet.fleet import FleetReport


class Sender(Protocol):
    """Sends reports asynchronously, and counts the outcome of each in a DeliveryCounts."""

    def send(self, fleet_report: FleetReport) -> bool:
        """Accept the report and return at once; False, without sending it, if too many reports are in flight."""
        ...

    def wait_for_room(self) -> None:
        """Wait until a report has left, or for a short time at most."""
        ...


@dataclass
class NullSender:
    """Counts every report as acknowledged at once, and accepts at most `room` of them."""

    counts: DeliveryCounts
    room: int = 2**62
    accepted: list[FleetReport] = field(default_factory=list)

    def send(self, fleet_report: FleetReport) -> bool:
        """See `Sender`."""
        if len(self.accepted) >= self.room:
            return False
        self.accepted.append(fleet_report)
        self.counts.add_acknowledged(fleet_report, attempts=1)
        return True

    def wait_for_room(self) -> None:
        """See `Sender`."""
        self.room += 1

"""A simulated fleet of migrations: what its agents report, and when. The ways of sending stand beside it."""

from taskstream.producer.fleet.delivery_counts import DeliveryCounts, SubtaskDeliveryCounts, TaskDeliveryCounts
from taskstream.producer.fleet.fleet import Fleet, FleetReport
from taskstream.producer.fleet.open_loop import FleetRun, drive
from taskstream.producer.fleet.sender import Sender

__all__ = [
    "DeliveryCounts",
    "Fleet",
    "FleetReport",
    "FleetRun",
    "Sender",
    "SubtaskDeliveryCounts",
    "TaskDeliveryCounts",
    "drive",
]

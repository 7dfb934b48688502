"""A simulated fleet of migrations: what its agents report and when, and senders for HTTP and for Kafka."""

from taskstream.producer.fleet.delivery_counts import DeliveryCounts, SubtaskDeliveryCounts, TaskDeliveryCounts
from taskstream.producer.fleet.fleet import Fleet, FleetReport
from taskstream.producer.fleet.open_loop import FleetRun, run_open_loop
from taskstream.producer.fleet.sender import Sender

__all__ = [
    "DeliveryCounts",
    "Fleet",
    "FleetReport",
    "FleetRun",
    "Sender",
    "SubtaskDeliveryCounts",
    "TaskDeliveryCounts",
    "run_open_loop",
]

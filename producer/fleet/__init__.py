"""A simulated fleet of migrations: what its agents report, and when. The ways of sending stand beside it."""

from taskstream.producer.fleet.delivery_counts import SubtaskTally, Tally, TaskTally
from taskstream.producer.fleet.fleet import Fleet, Order
from taskstream.producer.fleet.open_loop import Run, drive
from taskstream.producer.fleet.sender import Way

__all__ = ["Fleet", "Order", "Run", "SubtaskTally", "Tally", "TaskTally", "Way", "drive"]

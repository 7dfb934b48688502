"""A simulated fleet of migrations: what its agents report, and when. The ways of sending stand beside it."""

from taskstream.producer.fleet.drive import Run, drive
from taskstream.producer.fleet.fleet import Fleet, Order
from taskstream.producer.fleet.tally import SubtaskTally, Tally, TaskTally
from taskstream.producer.fleet.way import Way

__all__ = ["Fleet", "Order", "Run", "SubtaskTally", "Tally", "TaskTally", "Way", "drive"]

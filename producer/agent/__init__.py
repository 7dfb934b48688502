"""The reference agent: copies a tree and reports it as a migration's subtasks do. It knows only the edge's API."""

from producer.agent.copying import copy_tree
from producer.agent.job import CopyJob, CopyResult, Problem, ReportCounts, Subtask
from producer.agent.meter import Progress

__all__ = ["CopyJob", "CopyResult", "Problem", "Progress", "ReportCounts", "Subtask", "copy_tree"]

"""The reference agent: copies a tree and reports it as a migration's subtasks do. It knows only the edge's API."""

from taskstream.producer.agent.copying import copy_tree
from taskstream.producer.agent.job import CopyJob, CopyResult, Problem, ReportCounts, Subtask
from taskstream.producer.agent.progress_meter import Progress

__all__ = ["CopyJob", "CopyResult", "Problem", "Progress", "ReportCounts", "Subtask", "copy_tree"]

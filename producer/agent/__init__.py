"""The reference agent: copies a tree and reports it as a migration's subtasks do. It knows only the edge's API."""

from taskstream.producer.agent.copying import copy_tree
from taskstream.producer.agent.job import CopyJob, CopyResult, Problem, ReportCounts, Subtask
from taskstream.producer.agent.progress_meter import CopyProgress

__all__ = ["CopyJob", "CopyProgress", "CopyResult", "Problem", "ReportCounts", "Subtask", "copy_tree"]

"""The reference agent: copies a directory tree and reports the copy as a migration. It knows only the edge's API."""

from taskstream.producer.agent.copying import copy_tree
from taskstream.producer.agent.job import CopyJob, CopyResult, Problem, ReportCounts, Subtask
from taskstream.producer.agent.progress_meter import CopyProgress

__all__ = ["CopyJob", "CopyProgress", "CopyResult", "Problem", "ReportCounts", "Subtask", "copy_tree"]

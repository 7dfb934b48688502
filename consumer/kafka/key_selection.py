"""Which records are selected by their keys: those of a project, of a task, or all. It knows keys and nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeySelection:
    """The records of one project, of one task (of any project, or of that one), or all."""

    project_id: str | None = None
    task_id: str | None = None
    of_series: bool = False
    """Whether the keys are those of series: project_id/task_id/subtask_name."""

    @property
    def everything(self) -> bool:
        """Whether every record is selected."""
        return self.project_id is None and self.task_id is None

    def includes(self, key: str | bytes | None) -> bool:
        """Whether a record with this key is selected."""
        if self.everything:
            return True
        text = key.decode("utf-8", "replace") if isinstance(key, bytes) else key or ""
        project_id, slash, task_id = text.partition("/")
        if self.of_series:
            task_id, slash, _ = task_id.rpartition("/")
        if not slash:
            return False
        return self.project_id in (None, project_id) and self.task_id in (None, task_id)

"""Values by project and subtask, and those of all projects by subtask; a group keeps the newest. It judges nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
Group = tuple[str | None, str]
"""A project and a subtask; all projects: None."""


class NewestByGroup(Generic[K, V]):
    """Each value is in the group of its project and in that of all projects; `kept`: how many a group keeps."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._groups: dict[Group, dict[K, V]] = {}

    def put(self, project_id: str, subtask_name: str, key: K, value: V) -> None:
        """Set the value of this key, which becomes the newest."""
        for group in ((project_id, subtask_name), (None, subtask_name)):
            values = self._groups.setdefault(group, {})
            values.pop(key, None)
            values[key] = value
            if len(values) > self._kept:
                del values[next(iter(values))]

    def drop(self, project_id: str, subtask_name: str, key: K) -> None:
        """Remove this key, if it is there."""
        for group in ((project_id, subtask_name), (None, subtask_name)):
            self._groups.get(group, {}).pop(key, None)

    def get(self, group: Group, key: K) -> V | None:
        """The value of a key in this group."""
        return self._groups.get(group, {}).get(key)

    def items(self, group: Group) -> Mapping[K, V]:
        """The values of this group by key, the newest last."""
        return self._groups.get(group, {})

    def values(self, group: Group) -> list[V]:
        """The values of this group, the newest last."""
        return list(self._groups.get(group, {}).values())

    def of_projects(self) -> Iterator[tuple[str, str]]:
        """Project and subtask of every group that ever had a value, sorted."""
        return iter(sorted((project, subtask_name) for project, subtask_name in self._groups if project is not None))

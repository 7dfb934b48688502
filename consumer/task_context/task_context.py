"""The labels and links of tasks, for the page and for those who are told.

The file of labels is read again when it changes.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import structlog

from taskstream.consumer.errors import LabelsUnusable
from taskstream.consumer.task_context.link_templates import IDS, LABEL_NAME, LinkTemplate, links_of
from taskstream.schemas.watched_file import WatchedFile

MOST_TASKS = 1_000_000
LONGEST_VALUE = 1_000
NO_LABELS: Mapping[str, str] = MappingProxyType({})
_log = structlog.get_logger("taskstream.labels")

Labels = Mapping[tuple[str, str], Mapping[str, str]]
"""[project_id, task_id] The labels of a task."""


class TaskAbout(NamedTuple):
    """What is known of one task beside its reports."""

    labels: Mapping[str, str]
    links: Mapping[str, str]


class TaskContext:
    """Links from templates, and labels from a file; without either, tasks have none."""

    def __init__(
        self,
        links: Sequence[LinkTemplate] = (),
        labels_file: Path | None = None,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """A later version of the file that cannot be used is logged, and the labels stay as they were.

        Raises:
            LabelsUnusable: the file cannot be read or used.
        """
        self._links = links
        self._labels: WatchedFile[Labels] | None = None
        if labels_file is not None:
            self._labels = WatchedFile(
                labels_file, read_labels, {}, unusable=LabelsUnusable, on_problem=_log_problem, clock_s=monotonic_s
            )
            self._labels.load()

    def of(self, project_id: str, task_id: str) -> TaskAbout:
        """The labels and links of a task."""
        labels = self.labels_of(project_id, task_id)
        return TaskAbout(labels, links_of(self._links, {**labels, "project_id": project_id, "task_id": task_id}))

    def labels_of(self, project_id: str, task_id: str) -> Mapping[str, str]:
        """The labels of a task, without its links."""
        every = {} if self._labels is None else self._labels.current()
        return every.get((project_id, task_id), NO_LABELS)


def _log_problem(problem: str) -> None:
    _log.warning("labels not read", problem=problem)


def read_labels(path: Path) -> Labels:
    """The labels in a CSV file with the columns project_id and task_id; every other column is a label, empty for none.

    Raises:
        LabelsUnusable: the file cannot be read, or a line cannot be used; the message names it.
    """
    labels: dict[tuple[str, str], Mapping[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            names = next(lines, [])
            _require_columns(names, path)
            for cells in lines:
                if not cells:
                    continue
                values = dict(zip(names, cells, strict=False))
                key = values.pop("project_id", ""), values.pop("task_id", "")
                _require_line(names, cells, key, f"{path}:{lines.line_num}")
                labels[key] = {name: value for name, value in values.items() if value}
                if len(labels) > MOST_TASKS:
                    raise LabelsUnusable(f"{path} has labels of more than {MOST_TASKS:,} tasks: leave out ended ones")
    except OSError as error:
        raise LabelsUnusable(f"{path} cannot be read ({error.strerror}): name a CSV file") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise LabelsUnusable(f"{path} is no CSV file in UTF-8: {error}") from error
    return labels


def _require_columns(names: Sequence[str], path: Path) -> None:
    missing = [name for name in IDS if name not in names]
    if missing:
        raise LabelsUnusable(f"{path} has no column {missing[0]}: its first line must be project_id,task_id,LABEL,...")
    for name in names:
        if not LABEL_NAME.fullmatch(name):
            raise LabelsUnusable(f"{path}: the column {name!r} cannot be a label: use letters, digits and _")
        if names.count(name) > 1:
            raise LabelsUnusable(f"{path} has two columns {name!r}: remove one")


def _require_line(names: Sequence[str], cells: Sequence[str], key: tuple[str, str], where: str) -> None:
    if len(cells) != len(names):
        raise LabelsUnusable(f"{where} has {len(cells)} values for {len(names)} columns")
    if not all(key):
        raise LabelsUnusable(f"{where} names no {IDS[0] if not key[0] else IDS[1]}")
    if any(len(cell) > LONGEST_VALUE for cell in cells):
        raise LabelsUnusable(f"{where} has a value of more than {LONGEST_VALUE:,} characters")

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

from taskstream.consumer.errors import LabelsUnusable, LinkUnfillable
from taskstream.consumer.task_context.link_templates import IDS, LABEL_NAME, LinkTemplate, links_of
from taskstream.schemas.watched_file import WatchedFile

MOST_TASKS = 1_000_000
LONGEST_VALUE = 1_000
NO_LABELS: Mapping[str, str] = MappingProxyType({})
_log = structlog.get_logger("taskstream.labels")


class Labels(NamedTuple):
    """The content of a file of labels."""

    names: frozenset[str]
    """The labels that it has a column for."""
    of_task: Mapping[tuple[str, str], Mapping[str, str]]
    """[project_id, task_id] The labels of a task."""


_NOTHING = Labels(frozenset(), {})


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

        A later version that lacks the column of a link's placeholder is used, and logged.

        Raises:
            LabelsUnusable: the file cannot be read or used.
            LinkUnfillable: a placeholder of a link is neither a task's id nor a column of the file.
        """
        self._links = links
        self._has_begun = False
        self._unfillable = ""
        """What the last version of the file lacks for the links; empty for nothing."""
        self._labels: WatchedFile[Labels] | None = None
        if labels_file is not None:
            self._labels = WatchedFile(
                labels_file, self._read, _NOTHING, unusable=LabelsUnusable, on_problem=_log_problem, clock_s=monotonic_s
            )
            self._labels.load()
        self._unfillable = unfillable(links, self._current(), labels_file)
        if self._unfillable:
            raise LinkUnfillable(self._unfillable)
        self._has_begun = True

    def of(self, project_id: str, task_id: str) -> TaskAbout:
        """The labels and links of a task."""
        labels = self.labels_of(project_id, task_id)
        return TaskAbout(labels, links_of(self._links, {**labels, "project_id": project_id, "task_id": task_id}))

    def labels_of(self, project_id: str, task_id: str) -> Mapping[str, str]:
        """The labels of a task, without its links."""
        return self._current().of_task.get((project_id, task_id), NO_LABELS)

    def _current(self) -> Labels:
        return _NOTHING if self._labels is None else self._labels.current()

    def _read(self, path: Path) -> Labels:
        labels = read_labels(path)
        problem = unfillable(self._links, labels, path)
        if self._has_begun and problem and problem != self._unfillable:
            _log.warning("link not filled", problem=problem)
        self._unfillable = problem
        return labels


def unfillable(links: Sequence[LinkTemplate], labels: Labels, labels_file: Path | None) -> str:
    """Which placeholders of the links no task has a value for, and which are known; empty if there are none."""
    known = {*IDS, *labels.names}
    missing = [f"{{{name}}} of the link {each.name}" for each in links for name in sorted(each.placeholders - known)]
    if not missing:
        return ""
    columns = "a label needs a file of labels" if labels_file is None else f"{labels_file} has no such column"
    return f"no task has a value for {', '.join(missing)}: {columns}; known are {', '.join(sorted(known))}"


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
    return Labels(frozenset(names) - {*IDS}, labels)


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

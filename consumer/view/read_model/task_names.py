"""The ids and projects of tasks in the forms that filters and sorts need, kept up to date as tasks come and go."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from taskstream.consumer.state.series import NONE
from taskstream.consumer.state.series_table import longer
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.text_order import TextOrder

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
_PAGE: Final = 2_048
"""How many ids are one Arrow array: so many are copied when one of them changes."""


class TaskNames:
    """The names of a read model's tasks. A change costs something per task that was added or dropped.

    Every question first takes over what changed. `refresh` does so earlier, that no request waits for it.
    """

    def __init__(self, model: ReadModel) -> None:
        self._tasks = model.tasks
        self._changes = 0
        """The changes of names that were taken over."""
        self._ids: npt.NDArray[np.object_] = np.empty(0, object)
        """[task] its id; None where there is no task."""
        self._id_number: Ints = np.zeros(0, np.int64)
        """[task] the number of its id in `_id_order`, NONE where there is no task."""
        self._pages: list[pa.Array] = []
        self._id_order = TextOrder()
        self._project_order = TextOrder()
        """A project has the same number here as in `Tasks.projects`, and none is ever removed."""

    def refresh(self) -> None:
        """Take over the tasks that were added or dropped."""
        if self._changes == self._tasks.name_changes:
            return
        self._grow()
        changed = self._tasks.names_changed_since(self._changes)
        self._changes = self._tasks.name_changes
        names = [self._tasks.names[task] for task in changed.tolist()]
        before = self._id_number[changed]
        exist = np.fromiter((name is not None for name in names), np.bool_, len(names))
        numbers = self._id_order.replace(
            before[before != NONE].tolist(), [name[1] for name in names if name is not None]
        )
        self._id_number[changed] = NONE
        self._id_number[changed[exist]] = numbers
        for task, name in zip(changed.tolist(), names, strict=True):
            self._ids[task] = None if name is None else name[1]
        for page in np.unique(changed // _PAGE).tolist():
            self._pages[page] = pa.array(self._ids[page * _PAGE : (page + 1) * _PAGE], pa.string())
        projects = list(self._tasks.projects)[len(self._project_order) :]
        self._project_order.replace((), projects)

    def containing(self, text: str, tasks: Ints, *, ignore_case: bool) -> Flags:
        """[tasks] whether the id of each of these tasks contains this text."""
        self.refresh()
        if tasks.shape[0] <= _PAGE:
            ids: pa.Array | pa.ChunkedArray = pa.array(self._ids[tasks], pa.string())
            return np.asarray(pc.match_substring(ids, text, ignore_case=ignore_case))
        ids = pa.chunked_array(self._pages, pa.string())
        matches = pc.match_substring(ids, text, ignore_case=ignore_case).fill_null(False)  # noqa: FBT003 (Arrow's)
        found: Flags = np.asarray(matches)
        return found[tasks]

    def ranks(self, field: str, tasks: Ints) -> Floats:
        """[tasks] the rank of the `task_id` or `project_id` among all distinct ones, in the order of code points."""
        self.refresh()
        if field == "project_id":
            return self._project_order.ranks(self._tasks.project[tasks])
        return self._id_order.ranks(self._id_number[tasks])

    def text_at(self, field: str, rank: float) -> str:
        """The `task_id` or `project_id` of this rank."""
        return self._order_of(field).text_at(int(rank))

    def rank_of(self, field: str, text: str) -> float:
        """The rank of a `task_id` or `project_id`; one that does not exist lies between two ranks."""
        self.refresh()
        return self._order_of(field).rank_of(text)

    def with_id(self, task_id: str) -> Ints:
        """The tasks with this id, of all projects: the project that was seen first comes first."""
        self.refresh()
        number = self._id_order.number_of(task_id)
        if number is None:
            return np.zeros(0, np.int64)
        found = np.flatnonzero(self._id_number == number)
        return found[np.argsort(self._tasks.project[found])]

    def _order_of(self, field: str) -> TextOrder:
        return self._project_order if field == "project_id" else self._id_order

    def _grow(self) -> None:
        size = len(self._tasks.names)
        more = size - self._ids.shape[0]
        if more:
            self._ids = longer(self._ids, more)
            self._id_number = longer(self._id_number, more, NONE)
            first = len(self._pages) - 1 if self._pages else 0
            del self._pages[first:]  # the last one was not full
            for begin in range(first * _PAGE, size, _PAGE):
                self._pages.append(pa.array(self._ids[begin : begin + _PAGE], pa.string()))

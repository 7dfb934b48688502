"""Mass silences: many tasks of one project that fell silent within minutes, as when a host or a network fails. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import Health
from taskstream.consumer.view.read_model.read_model import ReadModel

Ints = npt.NDArray[np.int64]

LEAST_TASKS: Final = 20
LEAST_SHARE: Final = 0.1
"""Of the unfinished tasks of the project."""
LONGEST_US: Final = 300_000_000
"""The time from the first last report to the last one."""
GAP_US: Final = 30_000_000
"""Two last reports that are further apart belong to two silences."""
MOST: Final = 20
"""How many mass silences are found; the others stay single tasks."""


@dataclass(frozen=True, slots=True)
class MassSilence:
    """Tasks of one project whose last reports came within minutes of each other."""

    project_id: str
    tasks: Ints
    """[silent] their numbers."""
    begin_us: int
    """The first of their last reports, microseconds since 1970."""
    end_us: int
    """The last of their last reports."""


def mass_silences(model: ReadModel, tasks: Ints) -> list[MassSilence]:
    """The mass silences among these tasks, the largest first."""
    index = model.tasks
    silent = tasks[model.health[tasks] == Health.SILENT]
    if silent.shape[0] < LEAST_TASKS:
        return []
    unfinished = index.live[model.health[index.live] != Health.COMPLETE]
    of_project = np.bincount(index.project[unfinished])
    projects, last_seen = index.project[silent], model.current_column(silent, "last_seen")
    order = np.lexsort((last_seen, projects))
    silent, projects, last_seen = silent[order], projects[order], last_seen[order]
    splits = np.flatnonzero((np.diff(projects) != 0) | (np.diff(last_seen) > GAP_US)) + 1
    begins = np.concatenate([[0], splits])
    ends = np.concatenate([splits, [silent.shape[0]]])
    sizes = ends - begins
    enough = np.maximum(LEAST_TASKS, LEAST_SHARE * of_project[projects[begins]])
    found = np.flatnonzero((sizes >= enough) & (last_seen[ends - 1] - last_seen[begins] <= LONGEST_US))
    largest = found[np.argsort(-sizes[found], kind="stable")][:MOST]
    return [
        MassSilence(
            index.name_of(int(silent[begin]))[0], silent[begin:end], int(last_seen[begin]), int(last_seen[end - 1])
        )
        for begin, end in zip(begins[largest].tolist(), ends[largest].tolist(), strict=True)
    ]

"""How well past intervals of an end held, per project and subtask, and the factor by which new ones are corrected.

It learns from the rows of complete series (see `eta_claims`), so it knows after a restart what it knew before. No
clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.forecast.eta_claims import LEAST_CLAIMS, calibrated, claim_errors, held_apart
from taskstream.consumer.state.series import Rows
from taskstream.consumer.state.series_table import identity
from taskstream.consumer.view.read_model.newest_by_group import Group, NewestByGroup

Floats = npt.NDArray[np.float64]
SERIES_KEPT = 1_000
"""How many complete series of a group are remembered: those whose end became known last."""


@dataclass(frozen=True, slots=True)
class PastIntervals:
    """Of one project and subtask: how many claims are known, how many of them held, and what is learnt from them."""

    project_id: str
    subtask_name: str
    claims: int
    held: int
    """By the interval that the series itself computed."""
    held_corrected: int
    """By that interval times the factor that the other claims give."""
    factor: float
    """By which half-widths are multiplied now."""


class EtaCalibration:
    """The errors of past claims. `note` and `forget` follow the rows; `factor` is cheap."""

    def __init__(self) -> None:
        self._errors: NewestByGroup[str, tuple[float, ...]] = NewestByGroup(SERIES_KEPT)
        """[group][series] the errors of its claims."""
        self._home: dict[str, tuple[str, str]] = {}
        """[series] its project and subtask, of every series that was learnt from."""
        self._factors: dict[Group, float] = {}
        """The factors that were asked for since the last change of the subtask."""

    def note(self, keys: Sequence[str], rows: Rows) -> None:
        """Learn from those of these rows that are complete; a series that began anew is forgotten."""
        errors = claim_errors(rows)
        known = ~np.isnan(errors)
        complete = known.any(axis=1)
        for place in np.flatnonzero(complete).tolist():
            self._put(keys[place], tuple(errors[place][known[place]].tolist()))
        if self._home:
            self.forget(keys[place] for place in np.flatnonzero(~complete).tolist())

    def forget(self, keys: Iterable[str]) -> None:
        """These series are gone, or not complete."""
        for key in keys:
            home = self._home.pop(key, None)
            if home is not None:
                self._errors.drop(*home, key)
                self._change(home[1])

    def factor(self, project_id: str, subtask_name: str) -> float:
        """The factor of half-widths: that of the project's past, of all projects' where that is too short, else 1."""
        own = (project_id, subtask_name)
        if own not in self._factors:
            errors = self._errors_of(own)
            is_enough = errors.size >= LEAST_CLAIMS
            self._factors[own] = calibrated(errors) if is_enough else self._pooled_factor(subtask_name)
        return self._factors[own]

    def past(self, project_id: str | None) -> list[PastIntervals]:
        """What is known of this project, or of all: by project, then by subtask."""
        found = []
        for project, subtask_name in self._errors.of_projects():
            errors = self._errors_of((project, subtask_name))
            if project_id in (None, project) and errors.size:
                held = int(np.count_nonzero(errors <= 1.0))
                factor = self.factor(project, subtask_name)
                found.append(PastIntervals(project, subtask_name, errors.size, held, held_apart(errors), factor))
        return found

    def _put(self, key: str, errors: tuple[float, ...]) -> None:
        project_id, _, subtask_name = identity(key)
        if self._errors.get((project_id, subtask_name), key) == errors:
            return
        self._home[key] = (project_id, subtask_name)
        self._errors.put(project_id, subtask_name, key, errors)
        self._change(subtask_name)

    def _pooled_factor(self, subtask_name: str) -> float:
        pooled = (None, subtask_name)
        if pooled not in self._factors:
            self._factors[pooled] = calibrated(self._errors_of(pooled))
        return self._factors[pooled]

    def _errors_of(self, group: Group) -> Floats:
        return np.array([error for errors in self._errors.values(group) for error in errors], np.float64)

    def _change(self, subtask_name: str) -> None:
        self._factors = {group: factor for group, factor in self._factors.items() if group[1] != subtask_name}

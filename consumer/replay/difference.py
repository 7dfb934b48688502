"""Where published rows differ from the fold of the events, and which differences the fold cannot decide. Pure.

The fold cannot decide, and therefore excuses, what a clock decided (a series marked silent, one dropped for its age,
one admitted because another was dropped) and series that began before the first event that the topic still has.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import NONE, ROW, EtaReason, Rows
from taskstream.consumer.state.series_table import SeriesTable, identity
from taskstream.consumer.state.state_records import state_batch

Ints = npt.NDArray[np.int64]
_BLOCK = 50_000
_ROWS = 2_000
_COMPARED = tuple(name for name in ROW.names or () if name not in ("live", "partition"))
_ETA = ("eta_s", "eta_low_s", "eta_high_s")
CLOCKS_DIFFER_US = 86_400_000_000
"""An upper bound on the difference between edges' clocks: a series first seen later than the first event and this is
not older than the range."""


class DifferenceExcuse(enum.StrEnum):
    """Why a series is not compared."""

    EXPIRED = "expired"
    """There are events and no row: it had no report for so long that it was dropped."""
    BEGUN_ANEW = "begun_anew"
    """The row begins long after the first event: it was dropped for its age, and reported again."""
    BEFORE_RANGE = "before_range"
    """It began before the first event that the topic has, or that was selected."""
    OVER_LIMIT = "over_limit"
    """Its project is at its limit of tasks on the side that does not have it: which tasks came first depends on those
    that expired, or on events that are gone."""
    MOVING = "moving"
    """Workers changed it during the comparison."""


@dataclass(frozen=True, slots=True)
class FoldRules:
    """What may be excused. Times are microseconds, since 1970 or long."""

    now_us: int
    keep_us: int
    """A series without a report for longer than this may have been dropped."""
    complete: bool
    """Whether the fold began with the first event of the topic's history, offset 0."""
    first_us: int | None = None
    """When the first folded event was received."""


@dataclass(slots=True)
class StateDifference:
    """The keys of the series that differ, and counts of the others."""

    differing: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """In the fold, and not on the topic."""
    surplus: list[str] = field(default_factory=list)
    """On the topic, and not in the fold."""
    same: int = 0
    excused: Counter[DifferenceExcuse] = field(default_factory=Counter)
    moving: list[str] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """How many series differ."""
        return len(self.differing) + len(self.missing) + len(self.surplus)

    def add(self, other: StateDifference) -> None:
        """Add the verdict on other series. `moving` becomes that of `other`."""
        self.differing += other.differing
        self.missing += other.missing
        self.surplus += other.surplus
        self.same += other.same
        self.excused += other.excused
        self.moving = other.moving


def judge(
    fold: SeriesTable,
    found: SeriesTable,
    rules: FoldRules,
    moving: frozenset[str] = frozenset(),
    only: Iterable[str] | None = None,
) -> StateDifference:
    """Compare all series, or `only` some. Of the series in `moving`, those that differ are only listed as moving.

    Rows of `fold` are changed: they get the silence marks of the same rows in `found`, because a clock set those.
    """
    verdict = StateDifference()
    fold_keys, found_keys = _keys(fold, only), _keys(found, only)
    _judge_common(fold, found, [key for key in found_keys if key in fold_keys], rules, moving, verdict)
    for key in fold_keys.keys() - found_keys.keys():
        if key in moving:
            verdict.moving.append(key)
        elif rules.now_us - int(fold.rows["last_seen"][fold_keys[key]]) > rules.keep_us:
            verdict.excused[DifferenceExcuse.EXPIRED] += 1
        elif not rules.complete and found.refuses(key, int(fold.rows["partition"][fold_keys[key]])):
            verdict.excused[DifferenceExcuse.OVER_LIMIT] += 1
        else:
            verdict.missing.append(key)
    for key in found_keys.keys() - fold_keys.keys():
        first_us = int(found.rows["first_seen"][found_keys[key]])
        if key in moving:
            verdict.moving.append(key)
        elif not rules.complete and (rules.first_us is None or first_us < rules.first_us + CLOCKS_DIFFER_US):
            verdict.excused[DifferenceExcuse.BEFORE_RANGE] += 1
        elif fold.refuses(key, int(found.rows["partition"][found_keys[key]])):
            verdict.excused[DifferenceExcuse.OVER_LIMIT] += 1
        else:
            verdict.surplus.append(key)
    return verdict


def difference_rows(fold: SeriesTable, found: SeriesTable, verdict: StateDifference) -> Iterator[dict[str, object]]:
    """One dict per difference: the series, the kind, and both values of each differing column."""
    for start in range(0, len(verdict.differing), _ROWS):
        keys = verdict.differing[start : start + _ROWS]
        shoulds = state_batch(fold, fold.find(keys)).to_pylist()
        has = state_batch(found, found.find(keys)).to_pylist()
        for key, should, have in zip(keys, shoulds, has, strict=True):
            columns = {
                name: {"state": have[name], "fold": should[name]} for name in should if _differ(have, should, name)
            }
            yield _series(key) | {"difference": "differs", "columns": columns}
    yield from (_series(key) | {"difference": "missing", "columns": {}} for key in verdict.missing)
    yield from (_series(key) | {"difference": "surplus", "columns": {}} for key in verdict.surplus)


def _judge_common(
    fold: SeriesTable,
    found: SeriesTable,
    keys: Sequence[str],
    rules: FoldRules,
    moving: frozenset[str],
    verdict: StateDifference,
) -> None:
    for start in range(0, len(keys), _BLOCK):
        block = keys[start : start + _BLOCK]
        fold_slots, found_slots = fold.find(block), found.find(block)
        _copy_silence(fold.rows, fold_slots, found.rows, found_slots)
        unlike = _unlike(fold.rows[fold_slots], found.rows[found_slots])
        for ours, theirs in ((fold.traces, found.traces), (fold.agent_times, found.agent_times)):
            should, has = ours.take(fold_slots), theirs.take(found_slots)
            unlike |= should.to_numpy(zero_copy_only=False) != has.to_numpy(zero_copy_only=False)
        later_us = found.rows["first_seen"][found_slots] - fold.rows["first_seen"][fold_slots]
        verdict.same += len(block) - int(np.count_nonzero(unlike))
        for index in np.flatnonzero(unlike).tolist():
            if block[index] in moving:
                verdict.moving.append(block[index])
            elif later_us[index] > rules.keep_us:
                verdict.excused[DifferenceExcuse.BEGUN_ANEW] += 1
            elif later_us[index] < 0 and not rules.complete:
                verdict.excused[DifferenceExcuse.BEFORE_RANGE] += 1
            else:
                verdict.differing.append(block[index])


def _copy_silence(fold: Rows, fold_slots: Ints, found: Rows, found_slots: Ints) -> None:
    """Copy marks of silence that begin with the last report; a silent row has no ETA."""
    since = found["silent_since"][found_slots]
    marked = fold_slots[(since != NONE) & (since == fold["last_seen"][fold_slots])]
    fold["silent_since"][marked] = fold["last_seen"][marked]
    for name in _ETA:
        fold[name][marked] = np.nan
    fold["eta_reason"][marked] = EtaReason.SILENT


def _unlike(a: Rows, b: Rows) -> npt.NDArray[np.bool_]:
    unlike: npt.NDArray[np.bool_] = np.zeros(a.shape[0], np.bool_)
    for name in _COMPARED:
        left, right = a[name], b[name]
        same = left == right
        if left.dtype == np.float64:
            same |= np.isnan(left) & np.isnan(right)
        unlike |= ~same.reshape(same.shape[0], -1).all(axis=1)
    unlike |= a["partition"] != b["partition"]
    return unlike


def _keys(table: SeriesTable, only: Iterable[str] | None) -> dict[str, int]:
    """The keys of the table, or those of `only` that it has, each with its slot."""
    slots = np.flatnonzero(table.rows["live"]) if only is None else table.find(list(only))
    return dict(zip(table.keys[slots].tolist(), slots.tolist(), strict=True))


def _differ(have: dict[str, object], should: dict[str, object], name: str) -> bool:
    return have[name] != should[name]


def _series(key: str) -> dict[str, object]:
    project_id, task_id, subtask_name = identity(key)
    return {"project_id": project_id, "task_id": task_id, "subtask_name": subtask_name}

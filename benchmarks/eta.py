"""The ETA and its interval, scored beside other estimators: on simulated migrations and on recorded copies.

At 39 regular moments of each migration, an estimator says how many seconds are left by what was reported until then.
Its error is |ln(said / truly left)|. Its jumpiness is how far the end that it foretells moves in a minute, in parts of
what is left. An 80 percent interval is scored by its width plus ten times what the truth lies outside (in logarithms;
T. Gneiting and A. Raftery, "Strictly Proper Scoring Rules", 2007, section 6.2). "corrected" is the interval with the
factor that the other migrations of the regime give, as the view does for the subtasks of a project.
"""

from __future__ import annotations

import csv
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.insight import Judged, judge, judged
from benchmarks.migrations import REGIMES, Migration
from taskstream.consumer.state.forecast.eta_claims import FIRST_PART, SECOND_PART, calibrated

SECTION: Final = "eta"
SEEDS: Final = range(24)
OTHER_SEEDS: Final = range(1_000, 1_024)
"""Migrations that no constant was chosen on."""
MOMENTS: Final = np.arange(1, 40) / 40
MOVING_S: Final = 120.0
"""A migration moves if bytes came within so many seconds."""
COPIES: Final = Path(__file__).parent / "copies"

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Score:
    """Of one estimator and one migration, at its moments; none where it gave no ETA."""

    errors: Floats
    widths: Floats
    """Half of the width of the interval, in logarithms; NaN: no interval."""
    moves: Floats
    """Jumpiness, minute by minute."""
    missing: Flags
    """[moments at which it moved] whether there was no ETA."""
    claims: Floats
    """Errors of claims in half-widths, see `eta_claims`."""


Estimator = Callable[[Judged], Floats]


def ours(of: Judged) -> Floats:
    """What the fold says, in seconds left after each report."""
    eta_s: Floats = of.states["eta_s"]
    return eta_s


def mean_since_start(of: Judged) -> Floats:
    """What is left over the mean rate since the first report."""
    return _left_over(of.migration, _rate_since(of.migration, np.inf))


def last_minutes(minutes: float) -> Estimator:
    """What is left over the mean rate of the last minutes, as cloud transfer services show it."""
    return lambda of: _left_over(of.migration, _rate_since(of.migration, 60.0 * minutes))


def smoothed_steps(of: Judged) -> Floats:
    """As tqdm: exponential means of bytes and of seconds per report, smoothing 0.3."""
    return _left_over(of.migration, _smoothed(of.migration, lambda _: 0.3))


def smoothed_seconds(of: Judged) -> Floats:
    """As rclone: an exponential mean over 16 seconds."""
    return _left_over(of.migration, _smoothed(of.migration, lambda step_s: 1.0 - np.exp(-step_s / 16.0)))


ESTIMATORS: Final[dict[str, Estimator]] = {
    "ours": ours,
    "mean": mean_since_start,
    "30 min": last_minutes(30.0),
    "2 min": last_minutes(2.0),
    "tqdm": smoothed_steps,
    "rclone": smoothed_seconds,
}


def run() -> None:
    with multiprocessing.Pool() as pool:
        for seeds, what in ((SEEDS, "migrations"), (OTHER_SEEDS, "others, that no constant was chosen on")):
            found = pool.starmap(judge, [(regime, seed) for regime in REGIMES for seed in seeds], chunksize=4)
            print(f"{len(seeds)} simulated {what} of each regime")
            print_table({regime: [each for each in found if each.migration.regime == regime] for regime in REGIMES})
    print("recorded copies")
    print_table({path.stem: [recorded(path)] for path in sorted(COPIES.glob("*.csv"))})


def print_table(groups: dict[str, list[Judged]]) -> None:
    """One line per group, and their means."""
    names = list(ESTIMATORS)
    heads = [*names, "p90", "no ETA %", "moves", "mean moves", "held %", "score", "corrected %", "score"]
    width = max(map(len, groups)) + 2
    print("  " + "error of".ljust(width) + "".join(head.rjust(12) for head in heads))
    lines = []
    for group, of in groups.items():
        lines.append(figures(of))
        print_line(group, width, lines[-1])
    print_line("mean", width, np.nanmean(lines, axis=0).tolist())


def print_line(name: str, width: int, line: Sequence[float]) -> None:
    formats = [
        *["{:.3f}"] * (len(ESTIMATORS) + 1),
        "{:.1f}",
        "{:.3f}",
        "{:.3f}",
        "{:.0f}",
        "{:.2f}",
        "{:.0f}",
        "{:.2f}",
    ]
    cells = [
        "-" if np.isnan(each) else each_format.format(each) for each, each_format in zip(line, formats, strict=True)
    ]
    print("  " + name.ljust(width) + "".join(cell.rjust(12) for cell in cells), flush=True)


def figures(of: Sequence[Judged]) -> list[float]:
    """The columns of `print_table`; the interval's are NaN where nobody gives one."""
    by_name = {name: [score(each, estimate(each)) for each in of] for name, estimate in ESTIMATORS.items()}
    medians = [_of_all(np.median, [each.errors for each in scores]) for scores in by_name.values()]
    own = by_name["ours"]
    held, plain = _interval(own, [1.0] * len(own))
    held_corrected = corrected = np.nan
    if len(own) > 1:
        factors = [calibrated(np.concatenate([other.claims for other in own if other is not each])) for each in own]
        held_corrected, corrected = _interval(own, factors)
    return [
        *medians,
        _of_all(lambda errors: np.quantile(errors, 0.9), [each.errors for each in own]),
        100.0 * _of_all(np.mean, [each.missing for each in own]),
        _of_all(np.mean, [each.moves for each in own]),
        _of_all(np.mean, [each.moves for each in by_name["mean"]]),
        *(100.0 * held, plain, 100.0 * held_corrected, corrected),
    ]


def score(of: Judged, eta_s: Floats) -> Score:
    """Score what was said after each report [reports], seconds left."""
    migration = of.migration
    times_s, ends_s = migration.times_s, _ends(migration)
    moments_s = MOMENTS * times_s[-1]
    at = np.searchsorted(times_s, moments_s, side="right") - 1
    left_s = ends_s[at] - moments_s
    good = (at > 0) & (left_s > 1.0)
    at, left_s, waited_s = at[good], left_s[good], (moments_s - times_s[at])[good]
    said_s = np.maximum(eta_s[at] - waited_s, 1.0)
    errors = np.log(said_s / left_s)
    known = np.isfinite(errors)
    widths = np.log(of.states["eta_high_s"][at] / of.states["eta_s"][at])
    before = np.maximum(np.searchsorted(times_s, times_s[at] - MOVING_S), 0)
    moving = migration.replicatesize[at] > migration.replicatesize[before]
    moving &= migration.replicatesize[at] < migration.totalsize[at]
    return Score(np.abs(errors[known]), widths[known], _moves(migration, eta_s), ~known[moving], _claims(of))


def recorded(path: Path) -> Judged:
    """The longest subtask of a recorded copy, until all its bytes are there."""
    with path.open() as lines:
        reports = list(csv.DictReader(lines))
    names = [each["subtask"] for each in reports]
    longest = max(set(names), key=names.count)
    of = np.array([(each["t"], each["done"], each["total"]) for each in reports if each["subtask"] == longest], float)
    full = np.flatnonzero((of[:, 1] >= of[:, 2]) & (of[:, 2] > 0))
    of = of[: full[0] + 1] if full.size else of
    return judged(Migration(path.stem, 0, of[:, 0], of[:, 1].astype(np.int64), of[:, 2].astype(np.int64)))


def _ends(migration: Migration) -> Floats:
    """[reports] When the pass that a report is of ended: at a fall of the bytes another begins."""
    ends_s = np.full(migration.times_s.shape[0], migration.times_s[-1])
    for fall in np.flatnonzero(np.diff(migration.replicatesize) < 0)[::-1].tolist():
        ends_s[: fall + 1] = migration.times_s[fall]
    return ends_s


def _moves(migration: Migration, eta_s: Floats) -> Floats:
    minutes_s = np.arange(60.0, migration.times_s[-1], 60.0)
    at = np.searchsorted(migration.times_s, minutes_s, side="right") - 1
    foretold_s, left_s = migration.times_s[at] + eta_s[at], _ends(migration)[at] - minutes_s
    moves = np.abs(np.diff(foretold_s)) / np.maximum(left_s[1:], 60.0)
    kept: Floats = moves[np.isfinite(moves)]
    return kept


def _claims(of: Judged) -> Floats:
    migration, states = of.migration, of.states
    left_s = _ends(migration) - migration.times_s
    found = []
    for part in (FIRST_PART, SECOND_PART):
        reached = (migration.replicatesize >= part * migration.totalsize) & ~np.isnan(states["eta_s"])
        at = np.flatnonzero(reached)
        if at.size and left_s[at[0]] > 1.0:
            state = states[at[0]]
            width = np.log(state["eta_high_s"] / state["eta_s"])
            found.append(abs(np.log(state["eta_s"] / left_s[at[0]])) / width)
    return np.array(found, np.float64)


def _interval(scores: Sequence[Score], factors: Sequence[float]) -> tuple[float, float]:
    """How often the intervals hold, and their mean score, with these factors of their widths."""
    errors = np.concatenate([each.errors for each in scores])
    widths = np.concatenate([factor * each.widths for factor, each in zip(factors, scores, strict=True)])
    if not errors.size:
        return np.nan, np.nan
    return float((errors <= widths).mean()), float((2.0 * widths + 10.0 * np.maximum(errors - widths, 0.0)).mean())


def _of_all(summary: Callable[[Floats], Floats | float], parts: Sequence[npt.NDArray[np.generic]]) -> float:
    together = np.concatenate(parts).astype(np.float64)
    return float(summary(together)) if together.size else np.nan


def _left_over(migration: Migration, rate_bps: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        eta_s = (migration.totalsize - migration.replicatesize) / rate_bps
    eta_s[~(rate_bps > 0.0)] = np.nan
    return eta_s


def _rate_since(migration: Migration, seconds: float) -> Floats:
    times_s, done = migration.times_s, migration.replicatesize.astype(np.float64)
    begins_s = np.maximum(times_s - seconds, times_s[0])
    return (done - np.interp(begins_s, times_s, done)) / np.maximum(times_s - begins_s, 1e-9)


def _smoothed(migration: Migration, weight: Callable[[float], float]) -> Floats:
    steps_s, gained = np.diff(migration.times_s), np.diff(migration.replicatesize.astype(np.float64))
    rates = np.full(migration.times_s.shape[0], np.nan)
    mean_s = mean_bytes = 0.0
    for at, (step_s, each) in enumerate(zip(steps_s.tolist(), gained.tolist(), strict=True)):
        part = weight(step_s)
        mean_s += part * (step_s - mean_s)
        mean_bytes += part * (each - mean_bytes)
        rates[at + 1] = mean_bytes / mean_s
    return rates

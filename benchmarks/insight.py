"""The words of the fold on simulated migrations: false alarms per 100 hours, and how long the true ones take.

In brackets are the figures of the first rules on the same migrations. Whatever is said of a regime that does not change
is a false alarm; drift, halve, window, mix, twopass, skip and tail change, and stall stalls. SILENT is judged at each
report, as a clock between them would.
"""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.migrations import REGIMES, Migration, migration
from taskstream.consumer.state.fold import fold_event
from taskstream.consumer.state.minutes import MAX_WINDOWS
from taskstream.consumer.state.series import ROW, SIGNAL, WINDOW, Health, Signal, Trend
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.state.signals import MAX_SIGNALS
from taskstream.consumer.state.stall import limit_or_first
from taskstream.schemas.compiled import compiled

SECTION: Final = "insight"
SEEDS: Final = range(24)
OTHER_SEEDS: Final = range(1_000, 1_064)
"""Migrations that no rule was chosen on."""
START_US: Final = 1_700_000_000_000_000
US: Final = 1_000_000
BUCKET_US: Final = 60 * US

SIGNALS: Final = ("NO_PROGRESS", "SILENT", "SLOW", "ETA_MOVED", "RESUMED")
COLUMNS: Final = (*SIGNALS, "trend %", "slow %")
BEFORE: Final[dict[str, tuple[float, ...]]] = {
    "ar1": (0.0, 0.0, 9.0, 147.0, 9.0, 12.8, 0.5),
    "drift": (0.0, 0.0, 36.1, 367.7, 36.1, 23.3, 1.9),
    "halve": (0.0, 0.0, 30.3, 387.0, 30.3, 19.0, 2.0),
    "window": (0.0, 0.0, 3.8, 45.7, 3.8, 8.4, 0.5),
    "diurnal": (0.0, 0.0, 0.6, 94.4, 0.6, 13.7, 0.0),
    "mix": (0.0, 0.0, 53.1, 1076.0, 52.3, 21.4, 4.7),
    "stall": (24.0, 0.0, 18.0, 416.5, 34.0, 17.7, 3.9),
    "burst": (567.4, 0.0, 6.1, 2136.1, 573.5, 5.9, 0.4),
    "twopass": (14.2, 14.2, 6.5, 250.5, 45.2, 15.1, 1.4),
    "grow": (0.0, 0.0, 5.4, 228.8, 5.4, 16.4, 0.3),
    "gap5": (0.0, 0.0, 6.1, 184.7, 6.1, 11.8, 0.3),
    "gap30": (0.0, 0.0, 8.8, 178.7, 8.8, 11.3, 0.4),
    "gap120": (0.0, 25.0, 7.3, 205.4, 7.3, 14.7, 0.5),
    "irregular": (0.0, 434.0, 9.7, 190.4, 9.7, 10.3, 0.6),
    "skip": (0.0, 0.0, 1.9, 798.3, 1.9, 10.4, 0.0),
    "chunky": (1431.0, 0.0, 0.0, 1697.3, 1409.7, 0.7, 0.0),
    "tail": (0.0, 0.0, 26.3, 300.5, 26.3, 12.5, 2.5),
}
"""COLUMNS of each regime by the first rules (five smoothed gaps, means of minutes), over the same 24 migrations."""
CHANGES: Final = (
    ("halve", "change", "SLOWING", 300),
    ("tail", "change", "SLOWING", 300),
    ("drift", "change", "SLOWING", 900),
    ("halve", "change", "SLOW", 600),
    ("tail", "change", "SLOW", 600),
    ("stall", "stall", "NO_PROGRESS", 180),
)
"""What must be found: regime, mark, word, and within how many seconds."""
CHANGING: Final = ("halve", "tail", "drift", "stall")
DELAYS_BEFORE: Final = {
    "halve: SLOWING": "71%, 185 s",
    "tail: SLOWING": "96%, 137 s",
    "drift: SLOWING": "33%, 1204 s",
    "halve: SLOW": "67%, 324 s",
    "tail: SLOW": "96%, 196 s",
    "stall: NO_PROGRESS": "83%, 80 s",
}
STATES: Final = np.dtype(
    [
        *(("health", "i1"), ("trend", "i1"), ("slow", "?"), ("quiet_limit_s", "f8"), ("stall_limit_s", "f8")),
        *(("eta_s", "f8"), ("eta_low_s", "f8"), ("eta_high_s", "f8")),
    ]
)

Array = npt.NDArray[Any]


def run() -> None:
    with multiprocessing.Pool() as pool:
        judged = pool.starmap(judge, [(regime, seed) for regime in REGIMES for seed in SEEDS], chunksize=4)
        others = pool.starmap(judge, [(regime, seed) for regime in CHANGING for seed in OTHER_SEEDS], chunksize=4)
    print(f"{len(SEEDS)} migrations of each regime; signals per 100 hours, and percent of the time")
    print("  " + "regime".ljust(10) + "hours".rjust(6) + "".join(name.rjust(20) for name in COLUMNS))
    for regime in REGIMES:
        of = [each for each in judged if each.migration.regime == regime]
        hours = sum(each.migration.hours for each in of)
        before = BEFORE.get(regime, ())
        cells = [f"{figure:.1f}" + (f" [{before[at]:.1f}]" if before else "") for at, figure in enumerate(figures(of))]
        print(f"  {regime:<10}{hours:>6.0f}" + "".join(cell.rjust(20) for cell in cells), flush=True)
    print(f"  found in time: of these, [by the first rules], and of {len(OTHER_SEEDS)} others")
    for regime, mark, word, within_s in CHANGES:
        found, of_others = (delays(each, regime, mark, word) for each in (judged, others))
        print_delays(f"{regime}: {word}", found, of_others, within_s)
    for regime in ("burst", "chunky", "irregular"):
        limits = np.concatenate([each.states["stall_limit_s"] for each in judged if each.migration.regime == regime])
        print(f"  {regime}: a stall would be signalled after {np.nanmedian(limits):.0f} s (median limit)")


@dataclass(frozen=True, slots=True)
class Judged:
    """A migration, the state after each of its reports [STATES], and its signals [SIGNAL]."""

    migration: Migration
    states: Array
    signals: Array


@functools.cache
def judge(regime: str, seed: int) -> Judged:
    """Fold a simulated migration, report by report."""
    return judged(migration(regime, seed))


def judged(of: Migration) -> Judged:
    """Fold a migration, report by report."""
    count = of.times_s.shape[0]
    rows, states, signals = np.zeros(1, ROW), np.zeros(count, STATES), np.zeros(3 * count, SIGNAL)
    rows["live"] = True
    times_us = START_US + (of.times_s * US).astype(np.int64)
    written = fold_each(
        rows, times_us, of.progress, of.replicatesize, of.totalsize, Settings().eta_part, states, signals
    )
    return Judged(of, states, signals[:written].copy())


@compiled
def fold_each(
    rows: Array,
    times_us: Array,
    progress: Array,
    replicatesize: Array,
    totalsize: Array,
    eta_part: float,
    states: Array,
    signals: Array,
) -> int:
    """Fold all reports of one series, and write its state after each; returns the number of signals."""
    windows, raised = np.zeros(2 * MAX_WINDOWS, WINDOW), np.zeros(2 * MAX_SIGNALS, SIGNAL)
    written = 0
    for at in range(times_us.shape[0]):
        report = (times_us[at], progress[at], replicatesize[at], totalsize[at])
        _, _, count = fold_event(rows, 0, *report, BUCKET_US, eta_part, windows, 0, raised, 0)
        for index in range(count):
            signals[written] = raised[index]
            written += 1
        row, state = rows[0], states[at]
        state["health"] = row["health"]
        state["trend"] = row["trend"]
        state["slow"] = row["slow"]
        state["eta_s"] = row["eta_s"]
        state["eta_low_s"] = row["eta_low_s"]
        state["eta_high_s"] = row["eta_high_s"]
        state["quiet_limit_s"] = limit_or_first(row["quiet_limit_s"], BUCKET_US / US)
        state["stall_limit_s"] = limit_or_first(row["stall_limit_s"], BUCKET_US / US)
    return written


def figures(of: Sequence[Judged]) -> list[float]:
    """COLUMNS of these."""
    hours = sum(each.migration.hours for each in of)
    gaps_s = [np.diff(each.migration.times_s) for each in of]
    silences = sum(int((gaps > each.states["quiet_limit_s"][:-1]).sum()) for gaps, each in zip(gaps_s, of, strict=True))
    counts = {name: sum(int((each.signals["signal"] == Signal[name]).sum()) for each in of) for name in SIGNALS}
    counts["SILENT"] = silences
    shares = [
        100 * sum(float(gaps[word[:-1]].sum()) for gaps, word in zip(gaps_s, words, strict=True)) / hours / 3600
        for words in ([each.states["trend"] >= Trend.SLOWING for each in of], [each.states["slow"] for each in of])
    ]
    return [*(100 * counts[name] / hours for name in SIGNALS), *shares]


def delays(judged: Sequence[Judged], regime: str, mark: str, word: str) -> Array:
    """Seconds from this mark to the first report after which the word held, before `back`; infinite if it never did."""
    found = []
    for each in judged:
        if each.migration.regime != regime:
            continue
        states, times_s, marks_s = each.states, each.migration.times_s, each.migration.marks_s
        holds = {
            "SLOWING": states["trend"] == Trend.SLOWING,
            "SLOW": states["slow"],
            "NO_PROGRESS": states["health"] == Health.NO_PROGRESS,
        }[word]
        held = times_s[holds & (times_s > marks_s[mark]) & (times_s < marks_s.get("back", np.inf))]
        found.append(held[0] - marks_s[mark] if held.size else np.inf)
    return np.array(found)


def print_delays(what: str, delays_s: Array, of_others_s: Array, within_s: int) -> None:
    share, of_others = (f"{(each <= within_s).mean():.0%}" for each in (delays_s, of_others_s))
    medians = [f"{np.median(each):.0f} s" for each in (delays_s, of_others_s)]
    print(
        f"  {what}: {share} within {within_s} s, median {medians[0]} [{DELAYS_BEFORE[what]}]; "
        f"others {of_others}, median {medians[1]}"
    )

"""Simulated migrations, by regime and seed: what agents would report of copies that behave in known ways.

It knows how copies behave, and nothing of the rules that judge them. Times are seconds since the begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

HOUR_S: Final = 3600.0
MINUTE_S: Final = 60.0
LONGEST_S: Final = 90 * HOUR_S
MEAN_BPS: Final = 30e6

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Dice = np.random.Generator


@dataclass(frozen=True, slots=True)
class Migration:
    """One simulated migration. All arrays are [reports]."""

    regime: str
    seed: int
    times_s: Floats
    replicatesize: Ints
    totalsize: Ints
    marks_s: dict[str, float] = field(default_factory=dict)
    """When something happens: `change`, `stall`, `back`."""

    @property
    def hours(self) -> float:
        """How long it reports."""
        return float(self.times_s[-1]) / HOUR_S

    @property
    def progress(self) -> Ints:
        """Percent: 100 only when all is there."""
        share = 100.0 * self.replicatesize / np.maximum(self.totalsize, 1)
        return np.where(self.replicatesize >= self.totalsize, 100, np.minimum(share.astype(np.int64), 99))


@dataclass(frozen=True, slots=True)
class Course:
    """A rate (bytes/s) in steps of `step_s`, and what of it a normal copy of `duration_s` would have."""

    rate_bps: Floats
    step_s: float
    duration_s: float
    mean_bps: float

    @property
    def moments_s(self) -> Floats:
        """The begin of each step."""
        return np.arange(self.rate_bps.shape[0]) * self.step_s

    @property
    def bytes_to_copy(self) -> float:
        """The bytes of a copy that lasts `duration_s` at the mean rate."""
        return self.mean_bps * self.duration_s

    def bytes_until(self, moment_s: float) -> float:
        """The bytes that these rates copy by then."""
        return float(np.sum(self.rate_bps[: int(moment_s / self.step_s)])) * self.step_s

    def with_rate(self, rate_bps: Floats) -> Course:
        """The same with other rates."""
        return Course(rate_bps, self.step_s, self.duration_s, self.mean_bps)


REGIMES: Final[dict[str, Callable[[Dice, int], Migration]]] = {}
"""By name, in the order of this file: a regime's index is part of its seed."""


def migration(regime: str, seed: int) -> Migration:
    """This one, always the same."""
    return REGIMES[regime](np.random.default_rng([20261125, list(REGIMES).index(regime), seed]), seed)


def _regime(make: Callable[[Dice, int], Migration]) -> Callable[[Dice, int], Migration]:
    REGIMES[make.__name__.strip("_")] = make
    return make


def wandering(dice: Dice, steps: int, step_s: float, deviation: float, memory_s: float) -> Floats:
    """The log of a wandering rate: AR(1) with this stationary deviation and time constant; the rate's mean is one."""
    kept = np.exp(-step_s / memory_s)
    added = dice.normal(0.0, deviation * np.sqrt(1.0 - kept * kept), steps)
    logs = np.empty(steps)
    log = dice.normal(0.0, deviation)
    for index in range(steps):
        log = kept * log + added[index]
        logs[index] = log
    return logs - deviation * deviation / 2.0


def lasting(dice: Dice, least_h: float = 0.5, most_h: float = 10.0) -> float:
    """The duration of a copy in seconds: log-normal about 2.5 hours."""
    return float(np.clip(2.5 * np.exp(dice.normal(0.0, 0.8)), least_h, most_h)) * HOUR_S


def course(
    dice: Dice,
    duration_s: float,
    *,
    step_s: float = 1.0,
    longer: float = 6.0,
    deviation: tuple[float, float] = (0.1, 0.5),
) -> Course:
    """A wandering rate for `longer` times the duration. deviation: the bounds of that of its log."""
    sd = dice.uniform(*deviation)
    memory_s = float(np.exp(dice.uniform(np.log(30.0), np.log(1200.0))))
    mean_bps = MEAN_BPS * float(np.exp(dice.normal(0.0, 0.8)))
    steps = int(min(longer * duration_s, LONGEST_S) / step_s)
    return Course(mean_bps * np.exp(wandering(dice, steps, step_s, sd, memory_s)), step_s, duration_s, mean_bps)


def usual_gap(dice: Dice) -> float:
    """Seconds between reports."""
    return float(dice.choice([5.0, 10.0, 15.0, 30.0]))


def reports(
    regime: str,
    seed: int,
    dice: Dice,
    of: Course,
    total_bytes: float,
    gap_s: float,
    *,
    marks_s: dict[str, float] | None = None,
    next_gap: Callable[[Dice], float] | None = None,
    next_file: Callable[[Dice], float] | None = None,
    total_at: Callable[[Floats, float], Floats] | None = None,
) -> Migration:
    """The reports of a copy of `total_bytes` at these rates; the last one comes when all is there.

    gap_s: mean seconds between reports. next_gap: draws each gap instead. next_file: draws the size of each file, and
    bytes are reported when a whole file is there. total_at: the total announced at these times, given the end.
    """
    copied = np.concatenate([[0.0], np.cumsum(of.rate_bps * of.step_s)])
    moments_s = np.arange(copied.shape[0]) * of.step_s
    last = int(np.searchsorted(copied, total_bytes))
    if last >= copied.shape[0]:
        raise RuntimeError(f"{regime} {seed} does not end within its rates")
    end_s = (last - 1 + (total_bytes - copied[last - 1]) / max(copied[last] - copied[last - 1], 1e-9)) * of.step_s
    times = [dice.uniform(0.0, gap_s)]
    while times[-1] < end_s:
        times.append(times[-1] + (next_gap(dice) if next_gap else gap_s * dice.uniform(0.8, 1.2)))
    times_s = np.array([*times[:-1], end_s])
    times_s = times_s[np.concatenate([[True], np.diff(times_s) > 0.01])]
    done = np.minimum(np.interp(times_s, moments_s, copied), total_bytes)
    if next_file:
        done = whole_files(dice, done, total_bytes, next_file)
    total = np.full(times_s.shape[0], total_bytes) if total_at is None else total_at(times_s, end_s)
    total = np.maximum(total, done)
    return Migration(regime, seed, times_s, done.astype(np.int64), total.astype(np.int64), marks_s or {})


def whole_files(dice: Dice, done: Floats, total_bytes: float, next_file: Callable[[Dice], float]) -> Floats:
    """The bytes in whole files; the last file ends with the copy."""
    ends = [0.0]
    while ends[-1] < total_bytes:
        ends.append(ends[-1] + next_file(dice))
    bounds = np.minimum(np.array(ends), total_bytes)
    whole = bounds[np.searchsorted(bounds, done, side="right") - 1]
    whole[-1] = total_bytes
    return whole


@_regime
def ar1(dice: Dice, seed: int) -> Migration:
    """Steady."""
    of = course(dice, lasting(dice))
    return reports("ar1", seed, dice, of, of.bytes_to_copy, usual_gap(dice))


@_regime
def drift(dice: Dice, seed: int) -> Migration:
    """From `change` on the rate falls by one to three percent a minute, down to a tenth to a third."""
    of = course(dice, lasting(dice), longer=12.0)
    change_s = dice.uniform(0.1, 0.3) * of.duration_s
    part, floor = dice.uniform(0.01, 0.03), dice.uniform(0.1, 0.3)
    minutes = np.maximum(of.moments_s - change_s, 0.0) / MINUTE_S
    of = of.with_rate(of.rate_bps * np.maximum(floor, np.exp(-part * minutes)))
    marks_s = {"change": change_s}
    return reports("drift", seed, dice, of, of.bytes_until(of.duration_s), usual_gap(dice), marks_s=marks_s)


@_regime
def halve(dice: Dice, seed: int) -> Migration:
    """From `change` to `back`, 10 to 60 minutes later, at 35 to 60 percent of the rate."""
    of = course(dice, lasting(dice, least_h=1.0))
    change_s = dice.uniform(0.2, 0.5) * of.duration_s
    back_s = change_s + dice.uniform(10.0, 60.0) * MINUTE_S
    within = (of.moments_s >= change_s) & (of.moments_s < back_s)
    of = of.with_rate(np.where(within, of.rate_bps * dice.uniform(0.35, 0.6), of.rate_bps))
    marks_s = {"change": change_s, "back": back_s}
    return reports("halve", seed, dice, of, of.bytes_to_copy, usual_gap(dice), marks_s=marks_s)


@_regime
def window(dice: Dice, seed: int) -> Migration:
    """Throttled from nine to five, four to ten times as fast by night."""
    of = course(dice, dice.uniform(8.0, 26.0) * HOUR_S, step_s=5.0, longer=8.0, deviation=(0.05, 0.2))
    hour = (of.moments_s / HOUR_S + dice.uniform(0.0, 24.0)) % 24.0
    of = of.with_rate(np.where((hour >= 9.0) & (hour < 17.0), of.rate_bps, of.rate_bps * dice.uniform(4.0, 10.0)))
    return reports("window", seed, dice, of, of.bytes_until(of.duration_s), 30.0)


@_regime
def diurnal(dice: Dice, seed: int) -> Migration:
    """A wave of a day."""
    of = course(dice, dice.uniform(12.0, 40.0) * HOUR_S, step_s=5.0, longer=3.0, deviation=(0.1, 0.3))
    phase, height = dice.uniform(0.0, 2.0 * np.pi), dice.uniform(0.3, 0.7)
    of = of.with_rate(of.rate_bps * (1.0 + height * np.sin(2.0 * np.pi * of.moments_s / 86_400.0 + phase)))
    return reports("diurnal", seed, dice, of, of.bytes_until(of.duration_s), 30.0)


@_regime
def mix(dice: Dice, seed: int) -> Migration:
    """Large and small files by turns of 5 to 30 minutes on average: a factor of five."""
    of = course(dice, lasting(dice, least_h=1.0), longer=12.0, deviation=(0.1, 0.3))
    dwell_s = dice.uniform(5.0, 30.0) * MINUTE_S
    part = np.empty(of.rate_bps.shape[0])
    begin, is_fast = 0, bool(dice.random() < 0.5)
    while begin < part.shape[0]:
        steps = max(1, int(dice.exponential(dwell_s)))
        part[begin : begin + steps] = 1.0 if is_fast else 0.2
        begin, is_fast = begin + steps, not is_fast
    return reports("mix", seed, dice, of.with_rate(of.rate_bps * part), 0.6 * of.bytes_to_copy, usual_gap(dice))


@_regime
def stall(dice: Dice, seed: int) -> Migration:
    """From `stall` to `back`, 10 to 90 minutes later, nothing is copied and reports go on."""
    of = course(dice, lasting(dice, least_h=1.0))
    stall_s = dice.uniform(0.2, 0.7) * of.duration_s
    back_s = stall_s + dice.uniform(10.0, 90.0) * MINUTE_S
    within = (of.moments_s >= stall_s) & (of.moments_s < back_s)
    of = of.with_rate(np.where(within, 0.0, of.rate_bps))
    marks_s = {"stall": stall_s, "back": back_s}
    return reports("stall", seed, dice, of, of.bytes_to_copy, usual_gap(dice), marks_s=marks_s)


@_regime
def burst(dice: Dice, seed: int) -> Migration:
    """A report each 10 s, and data in a fifth to a half of each period of 45 to 180 s."""
    of = course(dice, lasting(dice))
    period_s, duty = float(dice.choice([45.0, 60.0, 90.0, 180.0])), dice.uniform(0.2, 0.5)
    of = of.with_rate(np.where(of.moments_s % period_s < duty * period_s, of.rate_bps / duty, 0.0))
    return reports("burst", seed, dice, of, of.bytes_to_copy, 10.0)


@_regime
def twopass(dice: Dice, seed: int) -> Migration:
    """A pause, then a small second pass: the total grows (even seeds), or the counts begin again (odd ones)."""
    of = course(dice, lasting(dice, most_h=6.0))
    gap_s, part, pause_s = usual_gap(dice), dice.uniform(0.02, 0.1), dice.uniform(1.0, 5.0) * MINUTE_S
    total = of.bytes_to_copy
    first = int(np.searchsorted(np.cumsum(of.rate_bps), total))
    if seed % 2 == 0:
        paused = np.concatenate([of.rate_bps[:first], np.zeros(int(pause_s)), of.rate_bps[first:]])

        def total_at(times_s: Floats, _end_s: float) -> Floats:
            return np.where(times_s <= first + pause_s / 2.0, total, total * (1.0 + part))

        return reports("twopass", seed, dice, of.with_rate(paused), total * (1.0 + part), gap_s, total_at=total_at)
    one = reports("twopass", seed, dice, of, total, gap_s)
    two = reports("twopass", seed, dice, of.with_rate(of.rate_bps[first:]), total * part, gap_s)
    return Migration(
        "twopass",
        seed,
        np.concatenate([one.times_s, two.times_s + one.times_s[-1] + pause_s]),
        np.concatenate([one.replicatesize, two.replicatesize]),
        np.concatenate([one.totalsize, two.totalsize]),
    )


@_regime
def grow(dice: Dice, seed: int) -> Migration:
    """What there is to copy is found while it is copied: the total grows in steps of half a minute to two."""
    of = course(dice, lasting(dice))
    known, found_by, step_s = dice.uniform(0.2, 0.7), dice.uniform(0.3, 0.9), dice.uniform(30.0, 120.0)

    def total_at(times_s: Floats, end_s: float) -> Floats:
        found = np.minimum(1.0, np.floor(times_s / step_s) * step_s / (found_by * end_s))
        return of.bytes_to_copy * (known + (1.0 - known) * found)

    return reports("grow", seed, dice, of, of.bytes_to_copy, usual_gap(dice), total_at=total_at)


def _reporting_each(gap_s: float) -> None:
    name = f"gap{gap_s:.0f}"

    def make(dice: Dice, seed: int) -> Migration:
        """Steady, with this gap between reports."""
        of = course(dice, lasting(dice, most_h=4.0 if gap_s < 10.0 else 10.0))
        return reports(name, seed, dice, of, of.bytes_to_copy, gap_s)

    REGIMES[name] = make


for _gap_s in (5.0, 30.0, 120.0):
    _reporting_each(_gap_s)


@_regime
def irregular(dice: Dice, seed: int) -> Migration:
    """Gaps between reports of 2 s to 10 min, log-normal about 20 s."""
    of = course(dice, lasting(dice))

    def next_gap(dice: Dice) -> float:
        return float(np.clip(20.0 * np.exp(dice.normal(0.0, 1.2)), 2.0, 600.0))

    return reports("irregular", seed, dice, of, of.bytes_to_copy, 20.0, next_gap=next_gap)


@_regime
def skip(dice: Dice, seed: int) -> Migration:
    """Started again: what is there already is skipped many times as fast as the rest is copied."""
    of = course(dice, lasting(dice))
    part, times = dice.uniform(0.2, 0.6), dice.uniform(30.0, 100.0)
    steps = int(max(20.0, part * of.duration_s / times))
    skipped = np.full(steps, part * of.bytes_to_copy / steps)
    rates = np.concatenate([skipped, of.rate_bps])
    return reports("skip", seed, dice, of.with_rate(rates), of.bytes_to_copy, usual_gap(dice))


@_regime
def chunky(dice: Dice, seed: int) -> Migration:
    """Bytes are reported when a whole file is there, which takes some minutes."""
    of = course(dice, lasting(dice), deviation=(0.05, 0.2))
    usual_bytes = dice.uniform(1.0, 5.0) * MINUTE_S * of.mean_bps

    def next_file(dice: Dice) -> float:
        return usual_bytes * float(np.exp(dice.normal(0.0, 0.7)))

    return reports("chunky", seed, dice, of, of.bytes_to_copy, 10.0, next_file=next_file)


@_regime
def tail(dice: Dice, seed: int) -> Migration:
    """From `change` on small files: the last twentieth to seventh of the bytes, at a tenth to a third of the rate."""
    of = course(dice, lasting(dice))
    part, slower = dice.uniform(0.05, 0.15), dice.uniform(0.1, 0.3)
    first = int(np.searchsorted(np.cumsum(of.rate_bps), of.bytes_to_copy * (1.0 - part)))
    of = of.with_rate(np.concatenate([of.rate_bps[:first], of.rate_bps[first:] * slower]))
    marks_s = {"change": float(first)}
    return reports("tail", seed, dice, of, of.bytes_to_copy, usual_gap(dice), marks_s=marks_s)

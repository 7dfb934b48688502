"""Histories of series, normal and broken, as streams of reports. It models agents and edges, and no rule of the fold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.consumer.oracle.oracle_series import Event

US = 1_000_000
START = 1_790_000_000 * US + 123_456
LARGEST = 2**63 - 1
PROJECT = "5f0e6c1b9a8d4e7fb3a2c1d0e9f8a7b6"
SUBTASKS = ("MIGRATE_LINUX_BLOCK", "SYNC_LINUX_FILE", "A_SUBTASK_OF_TOMORROW")

Chapter = tuple[str, int, int]
"""A kind of behaviour, its number of reports, and its random seed."""


def lives(most_series: int = 3, most_chapters: int = 8) -> st.SearchStrategy[list[list[Chapter]]]:
    """Histories of a few series."""
    chapter = st.tuples(st.sampled_from(Agent.CHAPTERS), st.integers(1, 60), st.integers(0, 999))
    life = st.lists(chapter, min_size=1, max_size=most_chapters)
    return st.lists(life, min_size=1, max_size=most_series)


def streams() -> st.SearchStrategy[list[Event]]:
    """Reports of a few series, mixed: from histories, or arbitrary."""
    return st.builds(stream_of, lives(), st.integers(0, 9)) | jumbles()


def jumbles() -> st.SearchStrategy[list[Event]]:
    """Arbitrary reports, made of values that tend to break code."""
    times = st.sampled_from((0, 1, 999_999, US, 59 * US, 60 * US, 61 * US, 3600 * US, -5 * US, 40 * 86_400 * US))
    sizes = st.one_of(st.sampled_from((0, 1, 7, 10**9, 10**12, LARGEST - 1, LARGEST)), st.integers(0, LARGEST))
    fields = st.tuples(st.integers(0, 1), times, st.sampled_from((0, 1, 50, 99, 100)), sizes, sizes)
    return st.lists(fields, max_size=60).map(_jumbled)


def stream_of(lives_: Sequence[Sequence[Chapter]], seed: int = 0) -> list[Event]:
    """The reports of these histories, mixed; those of each series stay in order."""
    dice = random.Random(seed)
    waiting = [Agent(series_name(number)).live(life) for number, life in enumerate(lives_)]
    mixed: list[Event] = []
    while waiting:
        chosen, count = dice.choice(waiting), dice.choice((1, 1, 2, 20))
        mixed += chosen[:count]
        del chosen[:count]
        waiting = [each for each in waiting if each]
    return mixed


def series_name(number: int) -> str:
    """A key of the table."""
    return f"{PROJECT}/task-{number}/{SUBTASKS[number % len(SUBTASKS)]}"


class Agent:
    """One agent and the edges that receive its reports: what it reports, and when that is received."""

    CHAPTERS = (
        *("copy", "drift", "stall", "repeat", "stale", "reset", "regress", "total", "same_instant", "behind"),
        *("jump_back", "jump_ahead", "done", "extremes", "churn", "retry"),
    )

    def __init__(self, series: str) -> None:
        self.series = series
        self.now, self.done, self.total, self.percent = START, 0, 10**12, 0
        self.gap_s, self.rate_bps = 5.0, 2e7
        self.reports: list[Event] = []

    def live(self, life: Sequence[Chapter]) -> list[Event]:
        """All its reports, in the order of receipt."""
        for kind, count, seed in life:
            getattr(self, "_" + kind)(count, random.Random(seed))
        return self.reports

    def _report(self, dice: random.Random, **other: Any) -> None:
        facts = {"percent": self.percent, "done": self.done, "total": self.total, "now": self.now} | other
        self.reports.append(
            Event(
                self.series,
                facts["now"],
                facts["percent"],
                min(facts["done"], LARGEST),
                facts["total"],
                _other_fields(dice, len(self.reports)),
                f"{self.series} {len(self.reports)}" if dice.random() < 0.9 else "",
            )
        )

    def _wait(self, dice: random.Random) -> float:
        gap_s = self.gap_s * dice.uniform(0.3, 1.7)
        self.now += int(gap_s * US)
        return gap_s

    def _copy(self, count: int, dice: random.Random) -> None:
        self.gap_s = dice.choice((self.gap_s, 1.0, 5.0, 20.0, 45.0))
        self.rate_bps *= dice.choice((1.0, 1.0, 0.3, 3.0))
        for _ in range(count):
            self.done += int(self._wait(dice) * self.rate_bps * dice.lognormvariate(0.0, 0.3))
            self.percent = min(99, max(self.percent, self.done * 100 // max(self.total, 1)))
            self._report(dice)

    def _drift(self, count: int, dice: random.Random) -> None:
        factor = dice.choice((0.97, 0.99, 1.01, 1.03))
        for _ in range(count):
            self.done += int(self._wait(dice) * self.rate_bps)
            self.rate_bps = max(self.rate_bps * factor, 1.0)
            self._report(dice)

    def _stall(self, count: int, dice: random.Random) -> None:
        for _ in range(count):
            self._wait(dice)
            self._report(dice)

    def _repeat(self, count: int, dice: random.Random) -> None:
        for _ in range(min(count, 5)):
            self._report(dice)

    def _stale(self, count: int, dice: random.Random) -> None:
        """A retried old report is received late; the next ones continue."""
        self._wait(dice)
        old = dice.choice(self.reports) if self.reports else None
        self._report(dice, done=old.replicatesize if old else 0, percent=old.progress if old else 0)
        if count % 3:
            self._copy(min(count, 3), dice)

    def _reset(self, count: int, dice: random.Random) -> None:
        self.done = dice.choice((0, 0, self.done // 2, max(self.done - 1, 0)))
        self.percent = dice.choice((0, self.percent))
        self._copy(count, dice)

    def _regress(self, count: int, dice: random.Random) -> None:
        for _ in range(min(count, 2)):
            self.percent = dice.randint(0, self.percent)
            self._wait(dice)
            self._report(dice)

    def _total(self, count: int, dice: random.Random) -> None:
        self.total = int(self.total * dice.choice((0.0, 0.5, 1.1, 2.0))) if self.total < 10**15 else 10**9
        self._copy(min(count, 5), dice)

    def _same_instant(self, count: int, dice: random.Random) -> None:
        for _ in range(min(count, 4)):
            self.done += int(self.rate_bps)
            self._report(dice)

    def _behind(self, count: int, dice: random.Random) -> None:
        """Another edge's clock is some seconds behind."""
        for _ in range(min(count, 6)):
            self.done += int(self._wait(dice) * self.rate_bps)
            self._report(dice, now=self.now - dice.choice((1, US, 7 * US, 90 * US)))

    def _jump_back(self, count: int, dice: random.Random) -> None:
        self.now -= dice.choice((60, 3600, 86_400)) * US
        self._copy(min(count, 10), dice)

    def _jump_ahead(self, count: int, dice: random.Random) -> None:
        self.now += dice.choice((60, 600, 1799, 1800, 1801, 1860, 1920, 3600, 86_400, 20 * 86_400)) * US
        self.now -= dice.choice((0, 1, self.now % (60 * US)))
        self._copy(min(count, 3), dice)

    def _done(self, count: int, dice: random.Random) -> None:
        self._wait(dice)
        self._report(dice, percent=100, done=max(self.done, self.total) if count % 2 else self.done)
        if count > 30:
            self._stall(3, dice)

    def _extremes(self, count: int, dice: random.Random) -> None:
        """The largest values of a long, and several resets, within one minute."""
        for place in range(min(count, 12)):
            self.now += dice.choice((0, 1, US, 15 * US))
            self._report(dice, done=(0, 0, LARGEST)[place % 3], total=dice.choice((0, LARGEST)))
        self.done = LARGEST - 10**14 if count % 2 else 0

    def _retry(self, count: int, dice: random.Random) -> None:
        """Old reports are received again, some of them often, and at once or later."""
        for _ in range(min(count, 20) if self.reports else 0):
            self._wait(dice)
            old = self.reports[-dice.randint(1, min(len(self.reports), 40))]
            self.reports.append(replace(old, received_at=dice.choice((old.received_at, self.now))))

    def _churn(self, count: int, dice: random.Random) -> None:
        """Old and new values in turn."""
        for _ in range(min(count, 10)):
            self._wait(dice)
            self._report(dice, done=int(self.done * dice.choice((0.5, 0.9, 1.0))), percent=dice.randint(0, 100))


def _other_fields(dice: random.Random, number: int) -> dict[str, Any]:
    """The fields of a report beside its progress; older agents omit most of them."""
    other: dict[str, Any] = {
        "process_trace": f"copied {number} blocks \N{LATIN SMALL LETTER E WITH ACUTE}" * (number % 3)
    }
    if dice.random() < 0.7:
        other |= {"migrate_speed": dice.uniform(0.0, 1e4), "compress_rate": 0.0, "remain_time": dice.randint(0, 2**31)}
    if dice.random() < 0.5:
        other |= {"total_cpu_usage": dice.random(), "agent_mem_usage": 1e-300, "total_disk_io": 1e300}
        other |= {"need_migration_test": dice.random() < 0.5, "agent_time": f"2026-11-23 08:00:{number % 60:02d}"}
    return other


def _jumbled(fields: list[tuple[int, int, int, int, int]]) -> list[Event]:
    now, events = START, []
    for number, (series, step, percent, done, total) in enumerate(fields):
        now = max(now + step, START - 86_400 * US)
        event_id = ("", "", "a", str(number), str(number))[number % 5]
        events.append(Event(series_name(series), now, percent, done, total, {"process_trace": str(number)}, event_id))
    return events

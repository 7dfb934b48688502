"""How far the workers are behind the reports, and up to which time health can be judged for it. Pure.

A dead pipeline looks like a dead migration: no series advances. The difference is the reports that no worker has read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from taskstream.consumer.state.rates import US_PER_S

STALE_S: Final = 60.0
"""An answer this old is no answer: the lag is unknown."""


@dataclass(frozen=True, slots=True)
class UnreadReports:
    """The reports after the offsets that the workers' group committed, as Kafka answered at `asked_at_us`."""

    asked_at_us: int
    records: int = 0
    oldest_us: int | None = None
    """The timestamp of the first of them; None when there is none."""
    problem: str | None = None
    """Why Kafka did not answer; the other fields mean nothing then."""


@dataclass(frozen=True, slots=True)
class PipelineLag:
    """How far the state is behind the reports."""

    behind_s: float | None = None
    """The age of the first unread report; None when unknown."""
    records_behind: int | None = None
    """The number of unread reports; None when unknown."""
    as_of_us: int | None = None
    """Health is judged as of this time, that of the first unread report; None: as of now."""
    too_far: bool = False
    """Whether they are further behind than is normal."""
    problem: str | None = None
    """Why the lag is unknown; None: it is known, or was not asked for yet."""

    def judged_at(self, now_us: int) -> int:
        """The time by which health is judged."""
        return now_us if self.as_of_us is None else min(now_us, self.as_of_us)


def pipeline_lag(unread: UnreadReports | None, now_us: int, limit_s: float) -> PipelineLag:
    """The lag by this answer, which is too far above `limit_s`.

    unread: None before the first answer.
    """
    if unread is None:
        return PipelineLag()
    if unread.problem is not None:
        return PipelineLag(problem=unread.problem)
    age_s = (now_us - unread.asked_at_us) / US_PER_S
    if age_s > STALE_S:
        return PipelineLag(problem=f"Kafka has not answered for {age_s:.0f} s")
    if unread.oldest_us is None:
        return PipelineLag(0.0, unread.records)
    behind_s = max(0.0, (unread.asked_at_us - unread.oldest_us) / US_PER_S)
    return PipelineLag(behind_s, unread.records, unread.oldest_us, behind_s > limit_s)

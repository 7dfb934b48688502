"""How a worker works: facts that are given to it once. It reads nothing and knows no Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field

from taskstream.consumer.state.series_table import Settings
from taskstream.schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works; `fold` must be the same for all workers of a group."""

    topics: Topics
    group: str
    instance: str
    """A name that no other worker of the group has at the same time."""
    static: bool = True
    """Whether the name is kept over restarts: the group then waits for who comes back, and gives him the same
    partitions. Else they go to the others as soon as he leaves."""
    fold: Settings = field(default_factory=Settings)
    commit_interval_s: float = 0.25
    catch_up_interval_s: float = 1.0
    """The same while there is more to read than one batch holds."""
    commit_rows: int = 100_000
    batch: int = 10_000
    keep_s: float = 7 * 86_400.0
    """A series unheard for so long is dropped."""
    expire_interval_s: float = 30.0
    """Seconds between two looks for such series."""
    reject_share: float = 0.5

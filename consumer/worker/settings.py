"""The settings of a worker, chosen once when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from taskstream.consumer.state.series_table import Settings
from taskstream.schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The settings of one worker; `fold` must be the same for all workers of a group, for the life of the topics."""

    topics: Topics
    group: str
    instance: str
    """A name that no other worker of the group has at the same time; it makes the transactional id. With a name that
    stays the same over restarts, the transaction that a killed worker left open is aborted when it starts again."""
    fold: Settings = field(default_factory=Settings)
    commit_interval_s: float = 0.25
    """From the first record folded to the commit."""
    catch_up_interval_s: float = 1.0
    """The same while there is more to read than one batch holds."""
    commit_rows: int = 100_000
    """Commit earlier when so many rows have changed."""
    batch: int = 10_000
    """Records in one batch, at most."""
    keep_s: float = 7 * 86_400.0
    """A series without reports for so long is dropped."""
    expire_interval_s: float = 30.0
    """Seconds between two searches for such series."""
    reject_share: float = 0.5
    """Stop when more than this share of the records cannot be read; 1: never."""
    state_headers: bool = False
    """Whether state records have the headers of CloudEvents: a fifth more CPU per report."""
    direct: bool = True
    """Whether librdkafka's messages are read into arrays, where its version is one that this was tested with."""

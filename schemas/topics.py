"""The topics as data: name, key, value, partitions, how long kept. `differences` is given what a cluster answered."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it is meant to be."""

    name: str
    key: str
    """What the key is made of."""
    value: str | None
    """The record in the value; None: bytes as they were received."""
    partitions: int
    config: Mapping[str, str]
    """Kafka's own topic configuration."""

    @property
    def compacted(self) -> bool:
        """Whether only the last value of each key is kept."""
        return self.config["cleanup.policy"] == "compact"


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one pipeline. Several pipelines live on one cluster under different prefixes."""

    prefix: str = "taskstream"
    partitions: int = 12
    retention_days: float = 30.0

    @property
    def progress(self) -> Topic:
        """Every acknowledged report, in the order of its task."""
        return Topic(f"{self.prefix}.progress", "project_id/task_id", "ProgressReported", self.partitions, self._kept)

    @property
    def state(self) -> Topic:
        """The newest state of every series; partition N holds the series of partition N of `progress`."""
        config = {
            "cleanup.policy": "compact",
            "segment.ms": str(DAY_MS // 24),
            "min.cleanable.dirty.ratio": "0.2",
            "delete.retention.ms": str(DAY_MS),
            "max.message.bytes": "1048588",
        }
        return Topic(f"{self.prefix}.state", "project_id/task_id/subtask_name", "SeriesState", self.partitions, config)

    @property
    def rates(self) -> Topic:
        """The closed minutes of every series."""
        key = "project_id/task_id/subtask_name"
        return Topic(f"{self.prefix}.rates", key, "RateWindow", self.partitions, self._kept)

    @property
    def signals(self) -> Topic:
        """What somebody may want to act on."""
        return Topic(f"{self.prefix}.signals", "project_id/task_id", "SignalRaised", self.partitions, self._kept)

    @property
    def rejected(self) -> Topic:
        """Records that could not be read, as they were received."""
        return Topic(f"{self.prefix}.rejected", "as received", None, self.partitions, self._kept)

    @property
    def probe(self) -> Topic:
        """What the edges write to find out whether Kafka acknowledges; nobody reads it."""
        config = {"cleanup.policy": "delete", "retention.ms": str(DAY_MS // 24)}
        return Topic(f"{self.prefix}.probe", "none", None, 1, config)

    @property
    def all(self) -> tuple[Topic, ...]:
        """The six topics."""
        return (self.progress, self.state, self.rates, self.signals, self.rejected, self.probe)

    @property
    def _kept(self) -> Mapping[str, str]:
        return {"cleanup.policy": "delete", "retention.ms": str(int(self.retention_days * DAY_MS))}


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """One topic as the cluster has it; `config` holds at least what is declared."""

    partitions: int
    config: Mapping[str, str]


class DifferenceKind(enum.Enum):
    """In what a topic differs from its declaration."""

    MISSING = "the topic does not exist"
    PARTITIONS = "another number of partitions than declared"
    SETTING = "another value of a topic setting"
    UNEQUAL = "progress and state have different numbers of partitions"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as declared. `fatal`: the pipeline must not run on it.

    `setting` is the name of the topic setting that differs; `declared` and `found` are its values, or the numbers of
    partitions.
    """

    topic: str
    what: str
    kind: DifferenceKind
    fatal: bool
    setting: str = ""
    declared: str = ""
    found: str = ""


def differences(declared: Topics, found: Mapping[str, FoundTopic]) -> list[Difference]:
    """What differs between the topics as declared and as found by name, the worst first."""
    seen = []
    for topic in declared.all:
        have = found.get(topic.name)
        if have is None:
            seen.append(Difference(topic.name, "does not exist", DifferenceKind.MISSING, fatal=True))
            continue
        if have.partitions != topic.partitions:
            seen.append(_partitions_differ(topic, have))
        for name, value in topic.config.items():
            if have.config.get(name) != value:
                seen.append(_setting_differs(topic, name, have))
    progress, state = found.get(declared.progress.name), found.get(declared.state.name)
    if progress and state and progress.partitions != state.partitions:
        what = f"has {state.partitions} partitions and {declared.progress.name} has {progress.partitions}"
        seen.append(Difference(declared.state.name, what, DifferenceKind.UNEQUAL, fatal=True))
    return sorted(seen, key=lambda each: not each.fatal)


def _partitions_differ(topic: Topic, have: FoundTopic) -> Difference:
    what = f"has {have.partitions} partitions, declared {topic.partitions}"
    counts = {"declared": str(topic.partitions), "found": str(have.partitions)}
    return Difference(topic.name, what, DifferenceKind.PARTITIONS, fatal=False, **counts)


def _setting_differs(topic: Topic, name: str, have: FoundTopic) -> Difference:
    value, found = topic.config[name], have.config.get(name)
    what = f"{name} is {found!r}, declared {value!r}"
    fatal = name == "cleanup.policy"
    return Difference(topic.name, what, DifferenceKind.SETTING, fatal, setting=name, declared=value, found=str(found))


def task_key(project_id: str, task_id: str) -> str:
    """The key of a task's events. A project id has no slash, so the first slash ends it."""
    return f"{project_id}/{task_id}"


def series_key(project_id: str, task_id: str, subtask_name: str) -> str:
    """The key of a series. A subtask name has no slash, so the last slash begins it."""
    return f"{project_id}/{task_id}/{subtask_name}"

"""The declared topics as data: name, key, value, partitions, configuration; and how a cluster's topics differ.

It never contacts a cluster: `differences` is given what the cluster reported.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

DAY_MS = 86_400_000
PERMANENT = "the number of partitions is permanent, because all records of a task must be in one partition"
"""The end of every sentence about another number of partitions."""


@dataclass(frozen=True, slots=True)
class Topic:
    """The declaration of one topic."""

    name: str
    key: str
    """The fields that the key consists of."""
    value: str | None
    """The name of the record in the value; None for a value of arbitrary bytes."""
    partitions: int
    config: Mapping[str, str]
    """Topic configuration in Kafka's names and units."""

    @property
    def compacted(self) -> bool:
        """Whether Kafka retains only the last value of each key."""
        return self.config["cleanup.policy"] == "compact"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one pipeline. Pipelines with different prefixes can share a cluster."""

    prefix: str = "taskstream"
    partitions: int = 12
    retention_days: float = 30.0

    @property
    def progress(self) -> Topic:
        """Every acknowledged report, ordered within its task. A record's timestamp is the time of receipt."""
        config = {**self._delete, "message.timestamp.type": "CreateTime"}
        return Topic(f"{self.prefix}.progress", "project_id/task_id", "ProgressReported", self.partitions, config)

    @property
    def state(self) -> Topic:
        """The newest state of every series. Partition N holds the series of partition N of `progress`."""
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
        """One record per series and closed minute."""
        key = "project_id/task_id/subtask_name"
        return Topic(f"{self.prefix}.rates", key, "RateWindow", self.partitions, self._delete)

    @property
    def signals(self) -> Topic:
        """Changes of a task that may need action."""
        return Topic(f"{self.prefix}.signals", "project_id/task_id", "SignalRaised", self.partitions, self._delete)

    @property
    def notes(self) -> Topic:
        """What operators note about tasks: the newest note of each. One partition: notes are few.

        The pipeline runs without this topic; then no task can be acknowledged or muted.
        """
        config = {"cleanup.policy": "compact", "segment.ms": str(DAY_MS), "delete.retention.ms": str(DAY_MS)}
        return Topic(f"{self.prefix}.notes", "project_id/task_id", "TaskNote", 1, config)

    @property
    def rejected(self) -> Topic:
        """Records of `progress` that could not be decoded, unchanged."""
        return Topic(f"{self.prefix}.rejected", "as received", None, self.partitions, self._delete)

    @property
    def probe(self) -> Topic:
        """Empty records that the edges write to test that Kafka acknowledges. Nothing consumes them.

        With LogAppendTime, the acknowledgement of a record has the time of its append by the broker's clock.
        """
        config = {
            "cleanup.policy": "delete",
            "retention.ms": str(DAY_MS // 24),
            "message.timestamp.type": "LogAppendTime",
        }
        return Topic(f"{self.prefix}.probe", "none", None, 1, config)

    @property
    def all(self) -> tuple[Topic, ...]:
        """The seven topics."""
        return (self.progress, self.state, self.rates, self.signals, self.notes, self.rejected, self.probe)

    @property
    def _delete(self) -> Mapping[str, str]:
        """The configuration of the topics that are retained for `retention_days`."""
        return {"cleanup.policy": "delete", "retention.ms": str(int(self.retention_days * DAY_MS))}


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """One topic as the cluster reports it; `config` has at least the declared settings."""

    partitions: int
    config: Mapping[str, str]
    replicas: int = 1
    """Of the partition that has the fewest."""
    in_sync: int = 1
    """Replicas that have every acknowledged record, of the partition that has the fewest."""


class DifferenceKind(enum.Enum):
    """How a topic differs from its declaration."""

    MISSING = "the topic does not exist"
    PARTITIONS = "another number of partitions than declared"
    SETTING = "another value of a topic setting"
    UNEQUAL = "progress and state have different numbers of partitions"
    REPLICAS = "fewer replicas than the cluster can hold"
    IN_SYNC = "fewer replicas in sync than a write needs"


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a topic differs from its declaration. `fatal`: the pipeline must not run with it.

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
    """The differences between the declared topics and the cluster's (`found`, by name); fatal ones first."""
    result = []
    for topic in declared.all:
        actual = found.get(topic.name)
        if actual is None:
            is_needed = topic.name != declared.notes.name
            result.append(Difference(topic.name, "does not exist", DifferenceKind.MISSING, fatal=is_needed))
            continue
        if actual.partitions != topic.partitions:
            result.append(_partitions_differ(topic, actual))
        for name, value in topic.config.items():
            if actual.config.get(name) != value:
                result.append(_setting_differs(topic, name, actual))
    progress, state = found.get(declared.progress.name), found.get(declared.state.name)
    if progress and state and progress.partitions != state.partitions:
        what = f"has {state.partitions} partitions and {declared.progress.name} has {progress.partitions}"
        result.append(Difference(declared.state.name, what, DifferenceKind.UNEQUAL, fatal=True))
    return sorted(result, key=lambda each: not each.fatal)


def _partitions_differ(topic: Topic, actual: FoundTopic) -> Difference:
    what = f"has {actual.partitions} partitions, declared {topic.partitions}"
    counts = {"declared": str(topic.partitions), "found": str(actual.partitions)}
    return Difference(topic.name, what, DifferenceKind.PARTITIONS, fatal=False, **counts)


def _setting_differs(topic: Topic, name: str, actual: FoundTopic) -> Difference:
    value, found = topic.config[name], actual.config.get(name)
    what = f"{name} is {found!r}, declared {value!r}"
    fatal = name == "cleanup.policy"
    return Difference(topic.name, what, DifferenceKind.SETTING, fatal, setting=name, declared=value, found=str(found))


def task_key(project_id: str, task_id: str) -> str:
    """The key of a task's events: `project_id/task_id`. A project id has no slash, so the first slash ends it."""
    return f"{project_id}/{task_id}"


def series_key(project_id: str, task_id: str, subtask_name: str) -> str:
    """The key of a series: `project_id/task_id/subtask_name`. A subtask name has no slash: the last slash begins it."""
    return f"{project_id}/{task_id}/{subtask_name}"

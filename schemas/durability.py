"""Whether topics survive the loss of a broker: replicas, replicas in sync, and the settings that give up durability.

It never contacts a cluster: `durability` is given what the cluster reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from taskstream.schemas.topics import Difference, DifferenceKind, FoundTopic, Topics

REPLICAS = 3
"""Enough to lose one broker while another one is being replaced."""
IN_SYNC = 2
"""With three replicas: the loss of one broker neither stops writes nor leaves the only copy of a record on another."""
_MIN_IN_SYNC = "min.insync.replicas"
_UNCLEAN = "unclean.leader.election.enable"


def durability(declared: Topics, found: Mapping[str, FoundTopic], brokers: int) -> list[Difference]:
    """Where an acknowledged record of these topics can be lost with one of `brokers`, or cannot be written.

    `brokers` is the number that the cluster lists now. On a single broker nothing is expected but that writes work.
    Topics that are missing are left out. The differences with which no write succeeds (fatal) come first.
    """
    result = [
        difference
        for topic in declared.all
        if topic.name in found
        for difference in _of_topic(topic.name, found[topic.name], brokers)
    ]
    return sorted(result, key=lambda each: not each.fatal)


def _of_topic(name: str, topic: FoundTopic, brokers: int) -> Iterator[Difference]:
    needed = int(topic.config.get(_MIN_IN_SYNC, 1))
    if topic.replicas < needed:
        what = f"{_MIN_IN_SYNC} is {needed} and the topic has {_replicas(topic.replicas)}: no write succeeds"
        setting = {"setting": _MIN_IN_SYNC, "declared": str(max(1, topic.replicas - 1)), "found": str(needed)}
        yield Difference(name, what, DifferenceKind.SETTING, fatal=True, **setting)
    elif topic.in_sync < needed:
        what = f"has {topic.in_sync} of {topic.replicas} replicas in sync, a write needs {needed} ({_MIN_IN_SYNC})"
        counts = {"declared": str(needed), "found": str(topic.in_sync)}
        yield Difference(name, what, DifferenceKind.IN_SYNC, fatal=True, **counts)
    elif topic.in_sync < topic.replicas:
        what = f"has {topic.in_sync} of {topic.replicas} replicas in sync, a broker is down or behind"
        counts = {"declared": str(topic.replicas), "found": str(topic.in_sync)}
        yield Difference(name, what, DifferenceKind.IN_SYNC, fatal=False, **counts)
    if topic.replicas < (wanted := min(REPLICAS, brokers)):
        what = f"has {_replicas(topic.replicas)} in a cluster of {brokers} brokers"
        counts = {"declared": str(wanted), "found": str(topic.replicas)}
        yield Difference(name, what, DifferenceKind.REPLICAS, fatal=False, **counts)
    if needed < IN_SYNC <= topic.replicas - 1:
        what = f"{_MIN_IN_SYNC} is {needed}: a report can be acknowledged while a single broker has it"
        yield _setting(name, _MIN_IN_SYNC, str(IN_SYNC), str(needed), what)
    if topic.replicas > 1 and topic.in_sync >= needed == topic.replicas:
        what = f"{_MIN_IN_SYNC} is {needed}, the number of replicas: the loss of any broker stops all writes"
        yield _setting(name, _MIN_IN_SYNC, str(topic.replicas - 1), str(needed), what)
    if topic.replicas > 1 and topic.config.get(_UNCLEAN) == "true":
        what = f"{_UNCLEAN} is true: a replica without the last acknowledged records can become leader"
        yield _setting(name, _UNCLEAN, "false", "true", what)


def _setting(name: str, setting: str, declared: str, found: str, what: str) -> Difference:
    return Difference(name, what, DifferenceKind.SETTING, False, setting=setting, declared=declared, found=found)  # noqa: FBT003


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"

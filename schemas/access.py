"""Which rights each part of a deployment needs on a cluster with an authorizer, and no more. It asks no cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from taskstream.schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class Grant:
    """One operation on one resource, in Kafka's words; the right to read or to write includes the right to describe."""

    kind: str
    """topic, group or transactional id."""
    name: str
    operation: str
    """Such as Read, Write, Describe, DescribeConfigs or Create."""
    is_prefix: bool = False
    """The grant holds for every resource whose name begins with `name`."""
    optional: bool = False
    """The part works without it, and checks less."""


def _edge(topics: Topics, _group: str) -> list[Grant]:
    return [
        *_topic("Write", topics.progress.name, topics.probe.name),
        Grant("topic", topics.state.name, "Describe", optional=True),
    ]


def _worker(topics: Topics, group: str) -> list[Grant]:
    written = [each.name for each in (topics.state, topics.rates, topics.signals, topics.rejected)]
    return [
        *_topic("Read", topics.progress.name, topics.state.name),
        *_topic("Write", *written),
        Grant("group", group, "Read"),
        Grant("transactional id", f"{group}.", "Write", is_prefix=True),
        *(Grant("topic", name, "DescribeConfigs", optional=True) for name in (topics.progress.name, *written)),
    ]


def _view(topics: Topics, group: str) -> list[Grant]:
    return [
        *_topic("Read", topics.state.name, topics.signals.name, topics.progress.name),
        Grant("topic", topics.rates.name, "Read", optional=True),
        Grant("topic", topics.notes.name, "Read", optional=True),
        Grant("topic", topics.notes.name, "Write", optional=True),
        Grant("group", group, "Describe"),
    ]


def _notifier(topics: Topics, _group: str) -> list[Grant]:
    return [
        Grant("topic", topics.signals.name, "Read"),
        Grant("topic", topics.notes.name, "Read", optional=True),
        Grant("group", f"{topics.prefix}.notify", "Read"),
    ]


def _analyst(topics: Topics, _group: str) -> list[Grant]:
    return _topic("Read", *(each.name for each in topics.all if each != topics.probe))


def _operator(topics: Topics, group: str) -> list[Grant]:
    return [
        *_analyst(topics, group),
        *_topic("Write", *(each.name for each in topics.all)),
        *(Grant("topic", each.name, "DescribeConfigs") for each in topics.all),
        Grant("group", topics.prefix, "Describe", is_prefix=True),
        Grant("group", group, "Read"),
        Grant("transactional id", f"{group}.", "Write", is_prefix=True),
        Grant("transactional id", f"{topics.prefix}.", "Write", is_prefix=True),
    ]


def _setup(topics: Topics, _group: str) -> list[Grant]:
    return [
        Grant("topic", each.name, operation)
        for each in topics.all
        for operation in ("Create", "Describe", "DescribeConfigs")
    ]


def _topic(operation: str, *names: str) -> list[Grant]:
    return [Grant("topic", name, operation) for name in names]


PARTS: Final[Mapping[str, Callable[[Topics, str], list[Grant]]]] = MappingProxyType(
    {
        "edge": _edge,
        "worker": _worker,
        "view": _view,
        "notifier": _notifier,
        "analyst": _analyst,
        "operator": _operator,
        "setup": _setup,
    }
)
"""[part] What it needs, for these topics and this group of the workers.

An analyst exports, tails and replays; an operator uses every command but `topics create`, which is the setup's.
"""

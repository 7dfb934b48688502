"""Which topic a name stands for: its id and its number of partitions, and what a change of them means. It asks nothing.

A committed offset has a mark with the identity of the state topic that it belongs to. So a worker learns also of what
was changed while no worker ran.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from taskstream.consumer.errors import PartitionsAdded, TopicRecreated
from taskstream.schemas.topics import PERMANENT

_MARK = re.compile(r"state=(\S+) partitions=(\d+)")


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """A topic as Kafka knows it. A topic that is deleted and created again has another id."""

    name: str
    topic_id: str
    partitions: int


def require_same(before: TopicIdentity, now: TopicIdentity) -> None:
    """Return when the topic is still the same.

    Raises:
        TopicRecreated: it was deleted and created again.
        PartitionsAdded: it has another number of partitions.
    """
    if before.topic_id != now.topic_id:
        raise TopicRecreated(f"{now.name} was deleted and created again while it was read", now.name)
    if before.partitions != now.partitions:
        raise PartitionsAdded(
            f"{now.name} has {now.partitions} partitions now and had {before.partitions}: {PERMANENT}"
        )


def offset_mark(state: TopicIdentity) -> str:
    """The metadata of an offset that is committed together with rows on this state topic."""
    return f"state={state.topic_id} partitions={state.partitions}"


def require_mark(mark: str | None, state: TopicIdentity, group: str) -> None:
    """Return when an offset of `group` with this metadata belongs to the rows on `state`, or has no mark.

    Raises:
        TopicRecreated: the rows that the offset belongs to were on an earlier topic of this name.
        PartitionsAdded: the topics had another number of partitions when the offset was committed.
    """
    found = _MARK.search(mark or "")
    if found is None:
        return
    if found[1] != state.topic_id:
        what = f"{state.name} was deleted and created again after the last commit of group {group}: its rows are gone"
        raise TopicRecreated(what, state.name)
    if int(found[2]) != state.partitions:
        raise PartitionsAdded(
            f"{state.name} has {state.partitions} partitions now and had {found[2]} at the last commit of group {group}"
            f": {PERMANENT}"
        )

"""What one commit of a lake says: how far each topic is in it, and which files appear and disappear. It does no I/O.

A lake has one current commit, whose offsets are those of all records in it; the commit replaces the one before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from taskstream.consumer.errors import LakeUnusable


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A written file: where it waits for its commit, and the name that it then gets, both below the lake's root."""

    staged: str
    name: str
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class LakeCommit:
    """One commit."""

    number: int = 0
    positions: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """[topic][partition] The offset after the last record in the lake."""
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    """[topic] Kafka's id of the topic, which a topic that is created again does not have."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """[topic] How many records are in the lake."""
    unreadable: Mapping[str, int] = field(default_factory=dict)
    """[topic] How many records could not be decoded and are not in it."""
    appears: Sequence[LakeFile] = ()
    disappears: Sequence[str] = ()
    """Names of files whose records are in one that appears."""

    def as_json(self) -> bytes:
        """The content of the commit's file."""
        return json.dumps(asdict(self), indent=1).encode()


def commit_of(content: bytes, path: str) -> LakeCommit:
    """The commit that a file has.

    Raises:
        LakeUnusable: the file does not describe a commit; `path` is in the message.
    """
    try:
        found = json.loads(content)
        positions = {
            topic: {int(each): int(offset) for each, offset in of_topic.items()}
            for topic, of_topic in found.pop("positions").items()
        }
        appears = tuple(LakeFile(**each) for each in found.pop("appears"))
        return LakeCommit(positions=positions, appears=appears, **found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LakeUnusable(f"{path} does not describe a commit of a lake") from error

"""Bounds of a range of a topic: parses 2026-11-23T08:00, 15m, earliest, latest and @offsets.csv.

It reads text, and offset files. `consumer.kafka.cluster` asks Kafka which offsets the bounds are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from taskstream.consumer.errors import BadRange
from taskstream.schemas.durations import seconds_of_duration
from taskstream.schemas.errors import cause_of

LATE = timedelta(hours=2)
"""How late a record may be on its partition, as a rule. An edge writes a record whose timestamp is at most an hour from
Kafka's clock, so behind a record that is two hours after a time, none is before that time."""
WORDS = (
    "a time (2026-11-23T08:00, UTC unless it has an offset), a duration before now (15m or PT15M), earliest, latest, "
)
WORDS += "or @FILE of lines TOPIC,PARTITION,OFFSET"


@dataclass(frozen=True, slots=True)
class Earliest:
    """The first record that a partition still has."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The end of a partition when Kafka is asked."""


@dataclass(frozen=True, slots=True)
class Since:
    """The first record of a partition whose timestamp is at or after this time."""

    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Offsets:
    """[topic][partition] An offset. Partitions that are not named are left out of the range."""

    by_topic: Mapping[str, Mapping[int, int]]


Bound = Earliest | Latest | Since | Offsets


def bound_of(text: str, now_ms: int) -> Bound:
    """Parses one bound; `now_ms` is milliseconds since 1970. `@FILE` is read.

    Raises:
        BadRange: `text` is not a bound, or the file cannot be read.
    """
    word = text.strip()
    if word.lower() == "earliest":
        return Earliest()
    if word.lower() == "latest":
        return Latest()
    if word.startswith("@"):
        return _offsets_file(Path(word[1:]))
    length_s = seconds_of_duration(word)
    if length_s is not None:
        return Since(now_ms - round(length_s * 1000))
    try:
        return Since(ms_of_time(word))
    except ValueError as error:
        raise BadRange(f"{text!r} is not a bound of a range: give {WORDS}") from error


def ms_of_time(text: str) -> int:
    """A time such as 2026-11-23T08:00 in milliseconds since 1970; UTC unless it has an offset.

    Raises:
        ValueError: it is no such time.
    """
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.timestamp() * 1000)


def _offsets_file(path: Path) -> Offsets:
    """The CSV of Kafka's own tools: topic,partition,offset on each line."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRange(
            f"@{path} cannot be read ({cause_of(error)}): name a file with lines TOPIC,PARTITION,OFFSET"
        ) from error
    found: dict[str, dict[int, int]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r'\s*"?([A-Za-z0-9._-]+)"?\s*,\s*(\d+)\s*,\s*(\d+)\s*', line, re.ASCII)
        if match is None:
            raise BadRange(f"{path}:{number}: {line.strip()[:80]!r} should be TOPIC,PARTITION,OFFSET")
        found.setdefault(match[1], {})[int(match[2])] = int(match[3])
    if not found:
        raise BadRange(f"@{path} has no offsets: write lines TOPIC,PARTITION,OFFSET")
    return Offsets(found)

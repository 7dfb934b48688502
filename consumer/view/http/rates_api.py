"""GET /tasks/{task_id}/rates: the rates of a task over a day or a week. It knows the parameters and no Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from taskstream.consumer.errors import BadRange
from taskstream.consumer.history.rate_history import RatesFound
from taskstream.consumer.kafka.ranges import Since, bound_of
from taskstream.schemas.durations import WORDS, seconds_of_duration
from taskstream.schemas.http.api_error import invalid_field

PARAMETERS: Final = frozenset({"project", "from", "to", "step"})
MOST_POINTS: Final = 2_000
DEFAULT_POINTS: Final = 300
DEFAULT_FROM: Final = "24h"
_US: Final = 1_000_000


class RateSource(Protocol):
    """Where past rates are read. It may block."""

    def read(self, keys: list[str], from_us: int, to_us: int, step_us: int, /) -> RatesFound:
        """The minutes of the series with these keys, added up in steps.

        Raises:
            KafkaFailed, RegistryFailed: they cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class RateRange:
    """A range of time and its steps, in microseconds."""

    from_us: int
    to_us: int
    step_us: int


def range_of(parameters: dict[str, str], bucket_us: int, now_us: int) -> RateRange:
    """The range of a request: `from` and `to` are times or durations before now, `step` is a duration.

    Raises:
        ApiError: INVALID_FIELD.
    """
    from_us = _moment("from", parameters.get("from", DEFAULT_FROM), now_us)
    to_us = _moment("to", parameters["to"], now_us) if "to" in parameters else now_us
    if to_us <= from_us:
        raise invalid_field("from", "must be before to")
    text = parameters.get("step")
    if text is None:
        step_us = -(-(to_us - from_us) // DEFAULT_POINTS // bucket_us) * bucket_us or bucket_us
    else:
        seconds = float(text) if text.isascii() and text.isdigit() else seconds_of_duration(text)
        if seconds is None or seconds * _US < bucket_us:
            raise invalid_field("step", f"must be a duration of at least {bucket_us / _US:g} s: write {WORDS}")
        step_us = round(seconds * _US)
    if (to_us - from_us) // step_us > MOST_POINTS:
        raise invalid_field("step", f"gives more than {MOST_POINTS} points: choose a longer one")
    return RateRange(from_us, to_us, step_us)


def rates_json(asked: RateRange, found: RatesFound, now_us: int) -> dict[str, Any]:
    """The response. A rate is the bytes by the time that was measured."""
    return {
        "from_ms": asked.from_us // 1000,
        "to_ms": asked.to_us // 1000,
        "step_s": asked.step_us / _US,
        "now_ms": now_us // 1000,
        "is_whole": found.is_whole,
        "records_read": found.records,
        "points": [
            {
                "from_ms": each.begin_us // 1000,
                "to_ms": each.end_us // 1000,
                "measured_s": each.measured_s,
                "bytes": each.bytes,
                "rate_bps": each.bytes / each.measured_s if each.measured_s > 0 else None,
                "subtask_name": each.subtask_name,
                "replicatesize": each.replicatesize,
                "totalsize": each.totalsize,
            }
            for each in found.points
        ],
    }


def _moment(name: str, text: str, now_us: int) -> int:
    try:
        bound = None if text.startswith("@") else bound_of(text, now_us // 1000)
    except BadRange as error:
        raise invalid_field(name, str(error)[:300]) from error
    if not isinstance(bound, Since):
        raise invalid_field(name, "must be a time such as 2026-11-23T08:00, or a duration before now such as 24h")
    return bound.timestamp_ms * 1000

"""CloudEvents attributes of the records on the topics, as record headers. It knows no record's content.

Binary content mode: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

Headers = list[tuple[str, str | bytes | None]]
EDGE: Final = "/taskstream/edge"
WORKER: Final = "/taskstream/worker"
REBUILD: Final = "/taskstream/rebuild"
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def event_type(record: str) -> str:
    """The CloudEvents type of a record: SignalRaised -> taskstream.SignalRaised."""
    return f"taskstream.{record}"


def constant_headers(record: str, source: str) -> tuple[tuple[str, bytes], ...]:
    """The headers that all records of this name from one source share: all required ones but `ce_id`."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type(record).encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/avro"),
    )


class NumberedEvents:
    """The headers of the records that one process writes, one record after the other; their ids are numbered.

    An id is 32 hexadecimal digits, random for each instance of this class, a hyphen, and the number of the record. A
    number is used once, also if the transaction of its record is aborted.
    """

    def __init__(self, record: str, source: str) -> None:
        self._constant = constant_headers(record, source)
        self._prefix = uuid.uuid4().hex.encode()
        self._next = 0

    def headers(self, count: int) -> Iterator[Headers]:
        """The headers of `count` more records. Always the same list, with another id: copy it to keep it."""
        headers: Headers = [("ce_id", b""), *self._constant]
        begin, self._next = self._next, self._next + count
        for number in range(begin, self._next):
            headers[0] = ("ce_id", b"%b-%d" % (self._prefix, number))
            yield headers

    def timed_headers(self, times_us: Sequence[int]) -> Iterator[Headers]:
        """The same for one more record per time (microseconds since 1970 UTC), each with its `ce_time`."""
        for headers, at_us in zip(self.headers(len(times_us)), times_us, strict=True):
            yield [*headers, ("ce_time", rfc3339(at_us))]


def rfc3339(at_us: int) -> bytes:
    """A time of the years 1 to 9999, microseconds since 1970 UTC, as CloudEvents writes it."""
    at = _EPOCH + dt.timedelta(microseconds=at_us)
    return f"{at.replace(tzinfo=None).isoformat('T', 'microseconds')}Z".encode()

"""One record's bytes, walked field by field in plain Python: the law of what is a record and what is none.

`loops` says the same of many at once, in machine code; the tests hold the two against each other. It keeps no value.
"""

from __future__ import annotations

from taskstream.schemas.codec.read_plan import BOOLEAN, DOUBLE, INT, LONG, LONGS, NOT_NULLABLE, STRING, ReadPlan
from taskstream.schemas.codec.wire_format import HEADER_SIZE, Reason
from taskstream.schemas.errors import Undecodable

INT_BOUND = 1 << 31
LONG_BOUND = 1 << 63


def walk(framed: bytes, plan: ReadPlan) -> None:
    """Go through a framed record as the plan's schema has written it.

    Raises:
        Undecodable: it is not exactly one such record; the reason and detail tell of the first thing that is wrong.
    """
    step = _Step(framed)
    for place, (kind, null_branch) in enumerate(zip(plan.kinds.tolist(), plan.null_branches.tolist(), strict=True)):
        step.field = place
        if null_branch != NOT_NULLABLE:
            branch = step.number()
            if branch not in (0, 1):
                raise step.wrong(Reason.INVALID, f"union branch {branch} where there are 0 and 1")
            if branch == null_branch:
                continue
        if kind == INT:
            number = step.number()
            if not -INT_BOUND <= number < INT_BOUND:
                raise step.wrong(Reason.INVALID, f"{number} is no 32-bit integer")
        elif kind == LONG:
            step.number()
        elif kind == BOOLEAN:
            if (byte := step.take(1)[0]) > 1:
                raise step.wrong(Reason.INVALID, f"{byte} is no boolean")
        elif kind == STRING:
            step.text()
        elif kind == LONGS:
            step.longs()
        else:
            step.take(8 if kind == DOUBLE else 4)
    if trailing := len(framed) - step.at:
        raise Undecodable(Reason.TRAILING, f"{trailing} bytes follow the record")


class _Step:
    """Where in the bytes we are, and in which field."""

    def __init__(self, framed: bytes) -> None:
        self._bytes = framed
        self.at = HEADER_SIZE
        self.field = 0

    def wrong(self, reason: Reason, what: str) -> Undecodable:
        return Undecodable(reason, f"field {self.field + 1}: {what}")

    def take(self, count: int) -> bytes:
        if count > len(self._bytes) - self.at:
            left = len(self._bytes) - self.at
            raise self.wrong(Reason.TRUNCATED, f"{count} bytes are announced or needed and {left} are left")
        self.at += count
        return self._bytes[self.at - count : self.at]

    def number(self) -> int:
        """A zigzag number of at most 64 bits."""
        bits = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            if shift == 63 and byte > 1:
                break
            bits |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (bits >> 1) ^ -(bits & 1)
        raise self.wrong(Reason.INVALID, "a number of more than 64 bits")

    def text(self) -> None:
        length = self.number()
        if length < 0:
            raise self.wrong(Reason.INVALID, f"a string of {length} bytes")
        try:
            self.take(length).decode()
        except UnicodeDecodeError as error:
            raise self.wrong(Reason.UTF8, str(error)) from error

    def longs(self) -> None:
        """Blocks of a count and as many numbers, up to a count of 0; after a negative one stands the size in bytes."""
        while count := self.number():
            end = None
            if count < 0:
                size = self.number()
                if size < 0 or count == -LONG_BOUND:
                    raise self.wrong(Reason.INVALID, f"an array's block of {count} items and {size} bytes")
                count, end = -count, self.at + size
            if count > len(self._bytes) - self.at:
                raise self.wrong(
                    Reason.TRUNCATED, f"an array's block of {count} items in {len(self._bytes) - self.at} bytes"
                )
            for _ in range(count):
                self.number()
            if end not in (None, self.at):
                raise self.wrong(Reason.INVALID, f"an array's block ends at {self.at} and said {end}")

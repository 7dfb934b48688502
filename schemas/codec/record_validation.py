"""Checks field by field, in plain Python, whether bytes are exactly one valid Avro record of a schema.

This is the reference for `column_loops`, which applies the same rules to many records in machine code; the tests
compare the two. It decodes no values.
"""

from __future__ import annotations

from taskstream.schemas.codec.read_plan import BOOLEAN, DOUBLE, INT, LONG, LONGS, NOT_NULLABLE, STRING, ReadPlan
from taskstream.schemas.codec.wire_format import HEADER_SIZE, Reason
from taskstream.schemas.errors import Undecodable

INT_BOUND = 1 << 31
LONG_BOUND = 1 << 63


def validate_record(framed: bytes, plan: ReadPlan) -> None:
    """Check that the bytes after the header are exactly one record of the schema that `plan` was made for.

    Raises:
        Undecodable: they are not; reason and detail describe the first defect.
    """
    cursor = RecordCursor(framed)
    for index, (kind, null_branch) in enumerate(zip(plan.kinds.tolist(), plan.null_branches.tolist(), strict=True)):
        cursor.field = index
        if null_branch != NOT_NULLABLE:
            branch = cursor.read_varint()
            if branch not in (0, 1):
                raise cursor.error(Reason.INVALID, f"the union branch is {branch}, not 0 or 1")
            if branch == null_branch:
                continue
        if kind == INT:
            number = cursor.read_varint()
            if not -INT_BOUND <= number < INT_BOUND:
                raise cursor.error(Reason.INVALID, f"{number} is not a 32-bit integer")
        elif kind == LONG:
            cursor.read_varint()
        elif kind == BOOLEAN:
            if (byte := cursor.read_bytes(1)[0]) > 1:
                raise cursor.error(Reason.INVALID, f"the boolean is {byte}, not 0 or 1")
        elif kind == STRING:
            cursor.skip_string()
        elif kind == LONGS:
            cursor.skip_longs()
        else:
            cursor.read_bytes(8 if kind == DOUBLE else 4)
    if trailing := len(framed) - cursor.at:
        raise Undecodable(Reason.TRAILING, f"{trailing} bytes follow the record")


class RecordCursor:
    """A position in the bytes, and the index of the field that it is in. Every `read_` raises Undecodable."""

    def __init__(self, framed: bytes) -> None:
        self._bytes = framed
        self.at = HEADER_SIZE
        self.field = 0

    @property
    def left(self) -> int:
        """Bytes after the position."""
        return len(self._bytes) - self.at

    def error(self, reason: Reason, what: str) -> Undecodable:
        """The error for a defect of the field."""
        return Undecodable(reason, f"field {self.field + 1}: {what}")

    def read_bytes(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > len(self._bytes) - self.at:
            left = len(self._bytes) - self.at
            raise self.error(Reason.TRUNCATED, f"{count} bytes are expected and {left} are left")
        self.at += count
        return self._bytes[self.at - count : self.at]

    def read_varint(self) -> int:
        """A zigzag varint of at most 64 bits."""
        bits = 0
        for shift in range(0, 70, 7):
            byte = self.read_bytes(1)[0]
            if shift == 63 and byte > 1:
                break
            bits |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (bits >> 1) ^ -(bits & 1)
        raise self.error(Reason.INVALID, "an integer has more than 64 bits")

    def skip_string(self) -> None:
        """A string, which must be UTF-8."""
        length = self.read_varint()
        if length < 0:
            raise self.error(Reason.INVALID, f"a string has the length {length}")
        try:
            self.read_bytes(length).decode()
        except UnicodeDecodeError as error:
            raise self.error(Reason.UTF8, str(error)) from error

    def skip_longs(self) -> None:
        """An array: blocks of a count and that many longs, ended by a count of 0.

        After a negative count follows the block's size in bytes; the block then has -count items.
        """
        while count := self.read_varint():
            end = None
            if count < 0:
                size = self.read_varint()
                if size < 0 or count == -LONG_BOUND:
                    raise self.error(Reason.INVALID, f"an array block has the count {count} and the size {size}")
                count, end = -count, self.at + size
            if count > len(self._bytes) - self.at:
                left = len(self._bytes) - self.at
                raise self.error(Reason.TRUNCATED, f"an array block has {count} items and {left} bytes are left")
            for _ in range(count):
                self.read_varint()
            if end not in (None, self.at):
                raise self.error(Reason.INVALID, f"an array block ends at {self.at}, its size says {end}")

"""The compiled loops of the columnar codec over raw bytes. An invalid record gets a status code; no loop raises.

Avro's binary encoding: https://avro.apache.org/docs/1.12.0/specification/#data-serialization-and-deserialization
The loops know no schema: `read_plan` gives them arrays of field kinds and columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from taskstream.schemas.compiled import compiled_in_place

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

GOOD = 0
TRUNCATED = 1
TRAILING = 2
UTF8 = 3
INVALID = 4

INT, LONG, DOUBLE, BOOLEAN, STRING, LONGS, FLOAT = 0, 1, 2, 3, 4, 5, 6
"""The same numbers as in `read_plan`; repeated here as literals, which the compiler folds."""


@compiled_in_place
def read_headers(data: Bytes, starts: Ints, ends: Ints, schema_ids: Ints) -> None:
    """Write the schema id of each value `data[starts[row]:ends[row]]` to schema_ids[row]; -1 without a valid header."""
    for row in range(starts.shape[0]):
        at = np.uint64(starts[row])
        schema_ids[row] = -1
        if ends[row] - starts[row] >= 5 and data[at] == 0:
            number = np.int64(0)
            for place in range(np.uint64(1), np.uint64(5)):
                number = number << 8 | np.int64(data[at + place])
            schema_ids[row] = number


@compiled_in_place
def read_records(
    data: Bytes,
    starts: Ints,
    ends: Ints,
    rows: Ints,
    kinds: Ints,
    null_branches: Ints,
    columns: Ints,
    to_double: Bools,
    values: Ints,
    lengths: Ints,
    valid: Bools,
    status: Ints,
) -> None:
    """Decode the records with the indexes `rows`, whose Avro bytes are `data[starts[row]:ends[row]]`, into columns.

    kinds, null_branches, columns, to_double: [written fields]; see `ReadPlan`.
    values: [columns, records]; a number's 64 bits, or where a string or an array begins in data.
    lengths: [columns, records]; bytes of a string, items of an array.
    valid: [columns, records]; False for null.
    status: [records]; GOOD, or the code of the first error.
    """
    for row in rows:
        at = starts[row]
        end = ends[row]
        state = GOOD
        for field in range(kinds.shape[0]):
            column = columns[field]
            null_branch = null_branches[field]
            if null_branch >= 0:
                branch, at = _varint(data, at, end)
                if at < 0:
                    state = -at
                    break
                if branch not in (0, 1):
                    state = INVALID
                    break
                if branch == null_branch:
                    continue
            kind = kinds[field]
            value = np.int64(0)
            length = np.int64(0)
            if kind in (INT, LONG):
                value, at = _varint(data, at, end)
                if at < 0:
                    state = -at
                    break
                if kind == INT and (value < -2147483648 or value > 2147483647):
                    state = INVALID
                    break
                if to_double[field]:
                    value = np.float64(value).view(np.int64)
            elif kind == DOUBLE:
                if at + 8 > end:
                    state = TRUNCATED
                    break
                value = _fixed(data, at, 8)
                at += 8
            elif kind == BOOLEAN:
                if at >= end:
                    state = TRUNCATED
                    break
                value = np.int64(data[at])
                at += 1
                if value > 1:
                    state = INVALID
                    break
            elif kind == STRING:
                length, at = _varint(data, at, end)
                if at < 0:
                    state = -at
                    break
                if length < 0:
                    state = INVALID
                    break
                if length > end - at:
                    state = TRUNCATED
                    break
                value = at
                if not _is_utf8(data, at, at + length):
                    state = UTF8
                    break
                at += length
            elif kind == LONGS:
                value = at
                length, at = _skip_longs(data, at, end)
                if at < 0:
                    state = -at
                    break
            else:
                if at + 4 > end:
                    state = TRUNCATED
                    break
                value = np.float64(np.uint32(_fixed(data, at, 4)).view(np.float32)).view(np.int64)
                at += 4
            if column >= 0:
                values[column, row] = value
                lengths[column, row] = length
                valid[column, row] = True
        if state == GOOD and at != end:
            state = TRAILING
        status[row] = state


@compiled_in_place
def _varint(data: Bytes, at: int, end: int) -> tuple[Any, Any]:
    """A zigzag varint and the index after it; on an error the second value is the negative status code."""
    bits = np.uint64(0)
    shift = 0
    while True:
        if at >= end:
            return np.int64(0), -TRUNCATED
        byte = np.uint64(data[np.uint64(at)])
        at += 1
        if shift == 63 and byte > np.uint64(1):
            return np.int64(0), -INVALID
        bits |= (byte & np.uint64(0x7F)) << np.uint64(shift)
        if byte < np.uint64(0x80):
            break
        shift += 7
    return np.int64(bits >> np.uint64(1)) ^ -np.int64(bits & np.uint64(1)), at


@compiled_in_place
def _fixed(data: Bytes, at: int, size: int) -> Any:
    bits = np.uint64(0)
    for place in range(size):
        bits |= np.uint64(data[np.uint64(at + place)]) << np.uint64(8 * place)
    return np.int64(bits)


@compiled_in_place
def _skip_longs(data: Bytes, at: int, end: int) -> tuple[Any, Any]:
    """The item count of an array of longs and the index after it; on an error the second is the negative status."""
    items = np.int64(0)
    while True:
        count, at = _varint(data, at, end)
        if at < 0 or count == 0:
            return items, at
        size = np.int64(-1)
        if count < 0:
            size, at = _varint(data, at, end)
            if at < 0:
                return items, at
            count = -count
            if size < 0 or count < 0:  # -(-2**63) overflows to itself
                return items, -INVALID
        if count > end - at:
            return items, -TRUNCATED
        block = at
        for _ in range(count):
            _, at = _varint(data, at, end)
            if at < 0:
                return items, at
        if size >= 0 and size != at - block:
            return items, -INVALID
        items += count


@compiled_in_place
def _is_utf8(data: Bytes, at: int, end: int) -> bool:
    """Whether data[at:end] is UTF-8 as RFC 3629 defines it: shortest form, no surrogates, nothing above U+10FFFF."""
    high = np.uint8(0)
    for place in range(np.uint64(at), np.uint64(end)):
        high |= data[place]
    if high < 0x80:
        return True
    while at < end:
        first = data[at]
        if first < 0x80:
            at += 1
            continue
        low, top, more = 0x80, 0xBF, 1
        if 0xC2 <= first <= 0xDF:
            more = 1
        elif 0xE0 <= first <= 0xEF:
            more = 2
            low = 0xA0 if first == 0xE0 else 0x80
            top = 0x9F if first == 0xED else 0xBF
        elif 0xF0 <= first <= 0xF4:
            more = 3
            low = 0x90 if first == 0xF0 else 0x80
            top = 0x8F if first == 0xF4 else 0xBF
        else:
            return False
        if at + more >= end:
            return False
        if data[at + 1] < low or data[at + 1] > top:
            return False
        for place in range(at + 2, at + more + 1):
            if data[place] < 0x80 or data[place] > 0xBF:
                return False
        at += more + 1
    return True


@compiled_in_place
def gather_strings(data: Bytes, starts: Ints, lengths: Ints, offsets: npt.NDArray[np.int32], out: Bytes) -> None:
    """Copy the strings one after another: out[offsets[i]:offsets[i + 1]] is string i."""
    for row in range(starts.shape[0]):
        start = np.uint64(starts[row])
        base = np.uint64(offsets[row])
        for place in range(np.uint64(lengths[row])):
            out[base + place] = data[start + place]


@compiled_in_place
def gather_longs(data: Bytes, starts: Ints, lengths: Ints, offsets: npt.NDArray[np.int32], out: Ints) -> None:
    """Decode arrays of longs that `read_records` has validated: out[offsets[i]:offsets[i + 1]] is array i."""
    end = data.shape[0]
    for row in range(starts.shape[0]):
        at = starts[row]
        left = lengths[row]
        place = offsets[row]
        while left > 0:
            count, at = _varint(data, at, end)
            if count < 0:
                _, at = _varint(data, at, end)
                count = -count
            for _ in range(count):
                out[place], at = _varint(data, at, end)
                place += 1
            left -= count


@compiled_in_place
def measure_records(
    kinds: Ints, nullable: Bools, values: Ints, lengths: Ints, valid: Bools, longs: Ints, head: int, sizes: Ints
) -> None:
    """Write the encoded size of each record in bytes to sizes, `head` bytes of header included.

    Shapes as in `write_records`.
    """
    for row in range(sizes.shape[0]):
        size = head
        for column in range(kinds.shape[0]):
            if nullable[column]:
                size += 1
                if not valid[column, row]:
                    continue
            kind = kinds[column]
            if kind in (INT, LONG):
                size += _varint_size(values[column, row])
            elif kind == DOUBLE:
                size += 8
            elif kind == BOOLEAN:
                size += 1
            elif kind == STRING:
                size += _varint_size(lengths[column, row]) + lengths[column, row]
            else:
                count = lengths[column, row]
                size += 1
                if count > 0:
                    size += _varint_size(count)
                    for place in range(values[column, row], values[column, row] + count):
                        size += _varint_size(longs[place])
        sizes[row] = size


@compiled_in_place
def write_records(
    kinds: Ints,
    nullable: Bools,
    null_branches: Ints,
    values: Ints,
    lengths: Ints,
    valid: Bools,
    strings: Bytes,
    longs: Ints,
    head: Bytes,
    offsets: Ints,
    out: Bytes,
) -> None:
    """Encode records one after another: out[offsets[row]:offsets[row + 1]] is record `row` with its header.

    kinds, nullable, null_branches: [columns].
    values: [columns, records]; a number's 64 bits, or the start of the string in strings or of the array in longs.
    lengths: [columns, records]; bytes of a string, items of an array.
    valid: [columns, records]; False for null.
    """
    for row in range(offsets.shape[0] - 1):
        at = offsets[row]
        for place in range(head.shape[0]):
            out[np.uint64(at + place)] = head[np.uint64(place)]
        at += head.shape[0]
        for column in range(kinds.shape[0]):
            if nullable[column]:
                null_branch = null_branches[column]
                if not valid[column, row]:
                    out[at] = np.uint8(2 * null_branch)
                    at += 1
                    continue
                out[at] = np.uint8(2 * (1 - null_branch))
                at += 1
            kind = kinds[column]
            value = values[column, row]
            if kind in (INT, LONG):
                at = _put_varint(out, at, value)
            elif kind == DOUBLE:
                bits = np.uint64(value)
                for place in range(8):
                    out[np.uint64(at + place)] = np.uint8((bits >> np.uint64(8 * place)) & np.uint64(0xFF))
                at += 8
            elif kind == BOOLEAN:
                out[at] = np.uint8(value)
                at += 1
            elif kind == STRING:
                length = lengths[column, row]
                at = _put_varint(out, at, length)
                start = np.uint64(value)
                base = np.uint64(at)
                for letter in range(np.uint64(length)):
                    out[base + letter] = strings[start + letter]
                at += length
            else:
                count = lengths[column, row]
                if count > 0:
                    at = _put_varint(out, at, count)
                    for place in range(value, value + count):
                        at = _put_varint(out, at, longs[place])
                out[at] = 0
                at += 1


@compiled_in_place
def _varint_size(value: int) -> int:
    bits = np.uint64((value << 1) ^ (value >> 63))
    size = 1
    while bits >= np.uint64(0x80):
        bits >>= np.uint64(7)
        size += 1
    return size


@compiled_in_place
def _put_varint(out: Bytes, at: int, value: int) -> int:
    bits = np.uint64((value << 1) ^ (value >> 63))
    while bits >= np.uint64(0x80):
        out[at] = np.uint8((bits & np.uint64(0x7F)) | np.uint64(0x80))
        bits >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(bits)
    return at + 1

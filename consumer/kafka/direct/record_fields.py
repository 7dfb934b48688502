"""rd_kafka_vu_t: the fields of a record to produce, and the compiled loop that produces many records from arrays.

A record's fields are an array. The loop writes to it what differs from record to record, and hands it to librdkafka.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from taskstream.schemas.codec.header_columns import HeaderColumns
from taskstream.schemas.codec.packed_values import PackedValues
from taskstream.schemas.compiled import compiled_in_place
from taskstream.schemas.librdkafka.library import COPY, librdkafka

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_WORDS = 9
"""Of 8 bytes in a field: its kind, a union of 64 bytes that begins with the value's address or a number."""
_TOPIC, _PARTITION, _VALUE, _KEY, _FLAGS, _HEADER = 2, 3, 4, 5, 7, 9
"""rd_kafka_vtype_t: RKT, PARTITION, VALUE, KEY, MSGFLAGS and HEADER."""
_PARTITION_BITS = 0xFFFFFFFF
_FIRST_HEADER = 5
"""The fields of a record are its topic, partition and flags, its key and value, and its headers."""

_intrinsic: Callable[[Any], Any] = intrinsic  # numba publishes no types


def produce_to(
    client: int, topic: int, keys: PackedValues, values: PackedValues, headers: HeaderColumns, partition: int
) -> tuple[int, int]:
    """Queue records for a topic, to one partition or (-1) to those of their keys; librdkafka copies their bytes.

    client, topic: an rd_kafka_t* and an rd_kafka_topic_t*.

    Returns how many are queued, and the rd_kafka_error_t* of the next one, or 0; the caller destroys it.
    """
    names = [np.frombuffer(name.encode() + b"\0", np.uint8) for name, _ in headers]
    shared = [np.frombuffer((each if isinstance(each, bytes) else b"") + b"\0", np.uint8) for _, each in headers]
    fields = np.zeros((_FIRST_HEADER + len(headers), _WORDS), np.uint64)
    fields[:_FIRST_HEADER, 0] = _TOPIC, _PARTITION, _FLAGS, _KEY, _VALUE
    fields[: _FIRST_HEADER - 2, 1] = topic, partition & _PARTITION_BITS, COPY
    columns = [keys, values]
    places = [(_FIRST_HEADER - 2) * _WORDS + 1, (_FIRST_HEADER - 1) * _WORDS + 1]
    for index, (_, each) in enumerate(headers):
        field = _FIRST_HEADER + index
        fields[field, :2] = _HEADER, names[index].ctypes.data
        if isinstance(each, bytes):
            fields[field, 2:4] = shared[index].ctypes.data, len(each)
        else:
            columns.append(each)
            places.append(field * _WORDS + 2)
    addresses = np.stack([np.uint64(each.data.ctypes.data) + each.starts.astype(np.uint64) for each in columns])
    sizes = np.stack([each.ends - each.starts for each in columns])
    words = fields.ravel()
    code = librdkafka().address("rd_kafka_produceva")
    return _produce_records(words, words.ctypes.data, client, code, np.array(places), addresses, sizes)


@_intrinsic
def _produce(_typing: Any, _function: Any, _client: Any, _fields: Any, _count: Any) -> Any:
    """rd_kafka_produceva(client, fields, count), whose code is at `function`."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        function = builder.inttoptr(arguments[0], ir.FunctionType(word, [word, word, word]).as_pointer())
        return builder.call(function, arguments[1:])

    return types.uint64(types.uint64, types.uint64, types.uint64, types.uint64), generate


@compiled_in_place
def _produce_records(
    fields: Words, fields_at: int, client: int, code: int, places: Ints, addresses: Words, sizes: Ints
) -> tuple[Any, Any]:
    """Produce one record after the other; how many, and the rd_kafka_error_t* of the next one or 0.

    fields: [words], with what all records share. fields_at: its address.
    places: [columns], the word for the address of a column's bytes; the word after it is for their number.
    addresses, sizes: [columns, records], of these bytes.
    code: the address of rd_kafka_produceva.
    """
    for record in range(sizes.shape[1]):
        for column in range(places.shape[0]):
            fields[places[column]] = addresses[column, record]
            fields[places[column] + 1] = sizes[column, record]
        count = np.uint64(fields.shape[0] // _WORDS)
        error = _produce(np.uint64(code), np.uint64(client), np.uint64(fields_at), count)
        if error != 0:
            return record, error
    return sizes.shape[1], np.uint64(0)

"""rd_kafka_message_t: the layout of a message in memory, and the compiled loops that read many of them.

The loops follow pointers that librdkafka gave. Their caller owns the messages and keeps them alive.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Pointers = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]


class MessageStruct(ctypes.Structure):
    """rd_kafka_message_t, with the C compiler's padding of this platform."""

    _fields_ = (
        ("err", ctypes.c_int),
        ("rkt", ctypes.c_void_p),
        ("partition", ctypes.c_int32),
        ("payload", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("key", ctypes.c_void_p),
        ("key_len", ctypes.c_size_t),
        ("offset", ctypes.c_int64),
        ("private", ctypes.c_void_p),
    )


_ERROR, _PARTITION, VALUE_FIELD, VALUE_SIZE, KEY_FIELD, KEY_SIZE, _OFFSET = 0, 16, 24, 32, 40, 48, 56
"""Offsets of the fields in bytes; literals, which the compiler folds. `is_known_layout` compares them."""


def is_known_layout() -> bool:
    """Whether this platform lays the structure out as the loops here read it."""
    names = ("err", "partition", "payload", "len", "key", "key_len", "offset")
    found = [getattr(MessageStruct, name).offset for name in names]
    return (
        found == [_ERROR, _PARTITION, VALUE_FIELD, VALUE_SIZE, KEY_FIELD, KEY_SIZE, _OFFSET]
        and ctypes.sizeof(MessageStruct) == 72
    )


_intrinsic: Callable[[Any], Any] = intrinsic  # numba publishes no types


def _loader(bits: int, result: Any) -> Any:
    """A function for compiled loops that reads an integer from memory."""

    @_intrinsic
    def load(_typing: Any, _address: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.load(builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer()))

        return result(types.uint64), generate

    return load


_load_int32: Any = _loader(32, types.int32)
_load_int64: Any = _loader(64, types.int64)


@_intrinsic
def _copy(_typing: Any, _to: Any, _source: Any, _size: Any) -> Any:
    """memcpy(to, source, size)."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        to, source, size = arguments
        byte = ir.IntType(8).as_pointer()
        memcpy: Any = cgutils.raw_memcpy
        memcpy(builder, builder.inttoptr(to, byte), builder.inttoptr(source, byte), size, 1)

    return types.void(types.uint64, types.uint64, types.int64), generate


@_intrinsic
def _timestamp(_typing: Any, _function: Any, _message: Any) -> Any:
    """rd_kafka_message_timestamp(message, NULL), whose code is at `function`."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        function = builder.inttoptr(arguments[0], ir.FunctionType(word, [word, word]).as_pointer())
        return builder.call(function, [arguments[1], word(0)])

    return types.int64(types.uint64, types.uint64), generate


@_intrinsic
def _destroy(_typing: Any, _function: Any, _message: Any) -> Any:
    """rd_kafka_message_destroy(message), whose code is at `function`."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        function = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), [ir.IntType(64)]).as_pointer())
        builder.call(function, [arguments[1]])

    return types.void(types.uint64, types.uint64), generate


@compiled
def read_fields(
    pointers: Pointers,
    timestamp_code: int,
    errors: Int32s,
    partitions: Int32s,
    offsets: Ints,
    timestamps: Ints,
    value_bounds: Ints,
    key_bounds: Ints,
) -> None:
    """Read the numbers of each message, and where its value and its key begin and end in the buffers of `copy_bytes`.

    pointers, errors, partitions, offsets, timestamps: [messages]. An event, whose error is not 0, has no bytes.
    value_bounds, key_bounds: [messages + 1].
    timestamp_code: the address of rd_kafka_message_timestamp.
    """
    value_bounds[0] = 0
    key_bounds[0] = 0
    for index in range(pointers.shape[0]):
        at = pointers[index]
        errors[index] = _load_int32(at + np.uint64(_ERROR))
        partitions[index] = _load_int32(at + np.uint64(_PARTITION))
        offsets[index] = _load_int64(at + np.uint64(_OFFSET))
        timestamps[index] = _timestamp(np.uint64(timestamp_code), at)
        value_size = np.int64(0)
        key_size = np.int64(0)
        if errors[index] == 0:
            if _load_int64(at + np.uint64(VALUE_FIELD)) != 0:
                value_size = _load_int64(at + np.uint64(VALUE_SIZE))
            if _load_int64(at + np.uint64(KEY_FIELD)) != 0:
                key_size = _load_int64(at + np.uint64(KEY_SIZE))
        value_bounds[index + 1] = value_bounds[index] + value_size
        key_bounds[index + 1] = key_bounds[index] + key_size


@compiled
def copy_bytes(pointers: Pointers, field: int, bounds: Ints, base: int) -> None:
    """Copy the bytes of message i to the address base + bounds[i]. field: VALUE_FIELD or KEY_FIELD."""
    for index in range(pointers.shape[0]):
        size = bounds[index + 1] - bounds[index]
        if size > 0:
            source = np.uint64(_load_int64(pointers[index] + np.uint64(field)))
            _copy(np.uint64(base) + np.uint64(bounds[index]), source, size)


@compiled
def read_words(pointers: Pointers, field: int, out: Ints) -> None:
    """Write to out[i] the eight bytes at offset `field` of message i."""
    for index in range(pointers.shape[0]):
        out[index] = _load_int64(pointers[index] + np.uint64(field))


@compiled
def destroy_messages(pointers: Pointers, destroy_code: int) -> None:
    """Give every message back to librdkafka, and set its pointer to 0; those that are 0 already are passed over.

    destroy_code: the address of rd_kafka_message_destroy.
    """
    for index in range(pointers.shape[0]):
        if pointers[index] != 0:
            _destroy(np.uint64(destroy_code), pointers[index])
            pointers[index] = 0

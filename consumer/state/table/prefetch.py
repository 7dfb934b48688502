"""Asks the processor to load memory that a loop will read some elements later, so that it need not wait for it then."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

_TO_WRITE, _KEEP, _DATA = 1, 3, 1
"""Arguments of `llvm.prefetch`: https://llvm.org/docs/LangRef.html#llvm-prefetch-intrinsic"""


def prefetch(array: npt.NDArray[Any], index: int, offset: int) -> None:
    """Load the cache line `offset` bytes after the begin of array[index]; do not wait for it.

    Any index is allowed: the processor ignores an address that it cannot load. Code that is not compiled does nothing.
    """


@overload(prefetch, strict=False)
def _compile_prefetch(array: Any, index: Any, offset: Any) -> Any:  # noqa: ARG001 (numba wants these names)
    return lambda array, index, offset: _emit(array, np.int64(index), np.int64(offset))  # type: ignore[call-arg]


@intrinsic
def _emit(_typing: Any, array: Any, index: Any, offset: Any) -> Any:
    """The call of `llvm.prefetch`, for numba: the signature, and what generates the code."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        begin = builder.mul(arguments[1], builder.extract_value(made.strides, 0))
        byte, number = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        address = builder.gep(
            builder.bitcast(made.data, byte), [builder.add(begin, arguments[2])], source_etype=ir.IntType(8)
        )
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        load = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(load, [address, *(number(each) for each in (_TO_WRITE, _KEEP, _DATA))])
        return context.get_dummy_value()

    return types.void(array, index, offset), generate

"""Compiles a plain Python loop over numpy arrays to machine code, once, kept on disk for the next start.

What is compiled here does only integer, float and array work: the same bits as the Python it is written in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(loop: F) -> F:
    """The same function, as machine code; its types are fixed by the first call, floats are never reordered."""
    return cast("F", numba.njit(cache=True, fastmath=False, error_model="numpy")(loop))

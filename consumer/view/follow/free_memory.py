"""Gives memory that is free inside of this process back to the system, where the C library and Arrow can."""

from __future__ import annotations

import ctypes

import pyarrow as pa


def return_free_memory() -> None:
    """Return what the allocators keep for later; it takes some milliseconds per free gigabyte.

    Reading a topic from its beginning frees many buffers between blocks that stay, and glibc returns none of them by
    itself: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)

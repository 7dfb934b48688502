"""Limits the memory that decoding a file may take: a few kilobytes of Parquet can decode to many gigabytes."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

_STATUS = Path("/proc/self/status")


@contextlib.contextmanager
def memory_limit(more_bytes: int) -> Iterator[None]:
    """Within this, the process may take `more_bytes` beyond what it has now; else an allocation fails.

    pyarrow then raises ArrowMemoryError, and Python MemoryError. It limits nothing where /proc does not tell the size.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + more_bytes
    if limit <= more_bytes or (soft != resource.RLIM_INFINITY and soft <= limit):
        yield
        return
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    try:
        lines = _STATUS.read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))

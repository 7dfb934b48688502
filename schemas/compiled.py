"""Compiles a plain Python loop over numpy arrays to machine code, once, kept on disk for the next start.

What is compiled does the same operations in the same order as the Python it is written in, so it gives the same bits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_ROOT = Path(__file__).parent.parent


def compiled(loop: F) -> F:
    """The same function, as machine code; its types are fixed by the first call, floats are never reordered."""
    return cast("F", numba.njit(cache=_CACHED, fastmath=False, error_model="numpy")(loop))


def _keep_between_starts() -> bool:
    """Keep the machine code in a folder named after the sources; whether that can be done.

    The compiler looks only at the one file that a function stands in: a loop that calls into a changed file would go
    on with its old code. Named after all sources, the folder is another one as soon as any of them changes. It lies
    beside them, or where NUMBA_CACHE_DIR says, which is how an image whose files are read-only keeps it.
    """
    folder = Path(numba.config.CACHE_DIR or Path(__file__).parent / "__pycache__")  # type: ignore[attr-defined] # made at run time
    if not os.access(folder if folder.exists() else folder.parent, os.W_OK):
        return False
    digest = hashlib.sha256()
    for room in ("schemas", "consumer"):
        for source in sorted((_ROOT / room).glob("*.py")):
            digest.update(source.read_bytes())
    numba.config.CACHE_DIR = str(folder / f"compiled-{digest.hexdigest()[:16]}")  # type: ignore[attr-defined] # made at run time
    return True


_CACHED = _keep_between_starts()

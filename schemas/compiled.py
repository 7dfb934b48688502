"""Compiles a plain Python loop over numpy arrays to machine code, once, kept on disk for the next start.

Compiled code does the same operations in the same order as the Python it is written in, so it gives the same bits.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGE = __name__.partition(".")[0]
_ROOT = Path(__file__).parents[__name__.count(".") - 1]
_IMPORTED = re.compile(rf"^\s*(?:from|import) ({_PACKAGE}\.[\w.]+)(?: import \(?([\w, ]*))?", re.MULTILINE)


def compiled(loop: F) -> F:
    """The same function, as machine code; its types are fixed by the first call, floats are never reordered.

    The machine code is kept in `cache_folder`. Where that folder cannot be written, each process compiles again.
    """
    folder = cache_folder(Path(inspect.getfile(loop)))
    if folder is None:
        return cast("F", numba.njit(fastmath=False, error_model="numpy")(loop))
    # numba decides where a function's code is kept when it is decorated, and has only a setting of the whole process.
    usual = numba.config.CACHE_DIR  # type: ignore[attr-defined] # made at run time
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined] # as above
    try:
        return cast("F", numba.njit(cache=True, fastmath=False, error_model="numpy")(loop))
    finally:
        numba.config.CACHE_DIR = usual  # type: ignore[attr-defined] # as above


def cache_folder(source: Path) -> Path | None:
    """Where the machine code of the loops in `source` is kept; None if that place cannot be written.

    numba looks only at the one file that a function is defined in: a loop that calls into a changed file would keep
    its old code. So the folder is named after the content of the file and of every file of this package that it
    imports, at any depth. It is beside this file, or where NUMBA_CACHE_DIR says, which is how an image whose files are
    read-only keeps it.
    """
    base = Path(numba.config.CACHE_DIR or Path(__file__).parent / "__pycache__")  # type: ignore[attr-defined] # made at run time
    if not os.access(base if base.exists() else base.parent, os.W_OK):
        return None
    return base / f"compiled-{sources_digest(source)[:16]}"


def sources_digest(source: Path) -> str:
    """SHA-256 in hexadecimal over a source file and every file of this package that it imports, at any depth."""
    digest = hashlib.sha256()
    for path in sorted(_closure(source)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _closure(source: Path) -> set[Path]:
    found: set[Path] = set()
    left = [source]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left.extend(_imports(path))
    return found


def _imports(source: Path) -> list[Path]:
    """The files of this package that a source file imports."""
    found = []
    for module, names in _IMPORTED.findall(source.read_text("utf-8")):
        found += [
            _file_of(module),
            *(_file_of(f"{module}.{name.strip()}") for name in names.split(",") if name.strip()),
        ]
    return [path for path in found if path is not None]


def _file_of(module: str) -> Path | None:
    """The file of a module of this package; None where this is the name of something in a module."""
    place = _ROOT.joinpath(*module.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)

"""Compiles plain Python loops over numpy arrays to machine code with numba, and caches the code on disk.

Compiled code performs the same operations in the same order as the Python source, so it returns the same bits. This
file must not know which modules have loops.
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
    """Decorator: compile `loop` at its first call, for the argument types of that call. Floats are never reordered.

    The machine code is cached in `cache_folder`. If that folder is not writable, every process compiles again.
    """
    return _compile(loop)


def compiled_in_place(loop: F) -> F:
    """Decorator: as `compiled`, without numba's atomic counts of references to arrays, which slow short loops down.

    `loop` reads and writes the arrays that its caller holds, makes none, and returns numbers. It calls only loops of
    this kind. A loop that makes an array is refused when it is compiled.
    """
    return _compile(loop, _nrt=False)


def _compile(loop: F, **options: Any) -> F:
    options |= {"fastmath": False, "error_model": "numpy"}
    folder = cache_folder(Path(inspect.getfile(loop)))
    if folder is None:
        return cast("F", numba.njit(**options)(loop))
    # numba fixes a function's cache folder when it is decorated, and reads it from a process-wide setting.
    previous = numba.config.CACHE_DIR  # type: ignore[attr-defined] # made at run time
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined] # as above
    try:
        return cast("F", numba.njit(cache=True, **options)(loop))
    finally:
        numba.config.CACHE_DIR = previous  # type: ignore[attr-defined] # as above


def cache_folder(source: Path) -> Path | None:
    """The folder that caches the machine code of the loops in `source`; None if it is not writable.

    numba invalidates a cached function only when the file that defines it changes; a loop that calls into another,
    changed file would keep stale code. So the folder's name is a digest of the file and of every file of this package
    that it imports, at any depth. The folder is in `__pycache__` beside this file, or in NUMBA_CACHE_DIR if that is
    set, as in a container image with a read-only file system.
    """
    return None if cache_problem() is not None else _base() / f"compiled-{sources_digest(source)[:16]}"


def cache_problem() -> str | None:
    """Why machine code cannot be kept on disk, and what to do; None if it can."""
    base = _base()
    if os.access(base if base.exists() else base.parent, os.W_OK):
        return None
    return (
        f"{base} cannot be written, so every start compiles for up to a minute: name a folder that can be, in the "
        "environment variable NUMBA_CACHE_DIR"
    )


def sources_digest(source: Path) -> str:
    """SHA-256 in hexadecimal over a source file and every file of this package that it imports, at any depth."""
    digest = hashlib.sha256()
    for path in sorted(_closure(source)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _base() -> Path:
    return Path(numba.config.CACHE_DIR or Path(__file__).parent / "__pycache__")  # type: ignore[attr-defined] # made at run time


def _closure(source: Path) -> set[Path]:
    """`source`, and the files of this package that it imports, at any depth."""
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
    """The file of a module of this package; None if the name is not a module's."""
    place = _ROOT.joinpath(*module.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)

"""Creates trees to copy, and reads back what is in a folder without using the agent's code."""

import hashlib
import os
import stat
from pathlib import Path


def contents(root: Path) -> dict[str, tuple]:
    """Every name below the folder, "." included: kind, mode, time, and a file's hash or a link's target."""
    found = {".": _described(root)}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = _described(path)
    return found


def size_of(root: Path) -> int:
    """The bytes of all regular files."""
    statuses = (Path(folder, name).lstat() for folder, _, names in os.walk(root) for name in names)
    return sum(status.st_size for status in statuses if stat.S_ISREG(status.st_mode))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def plant(root: Path, files: dict[str, bytes]) -> Path:
    """Write these files, each with another modification time."""
    root.mkdir(parents=True, exist_ok=True)
    for number, (name, content) in enumerate(files.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(1_700_000_000_123_456_789 + number, 1_600_000_000_987_654_321 + number))
    return root


def _described(path: Path) -> tuple:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return ("link", path.readlink(), status.st_mtime_ns)
    mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns
    if stat.S_ISDIR(status.st_mode):
        return ("folder", mode, mtime)
    with path.open("rb") as file:
        return ("file", mode, mtime, hashlib.file_digest(file, "sha256").hexdigest())

"""The map in DESIGN.md names every file of the package once, in its folder, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("src/taskstream", "schemas", "producer", "consumer", "compose")


def mapped() -> list[str]:
    """The files that the map names, with what is said of each."""
    text = (ROOT / "DESIGN.md").read_text("utf-8")
    block = text.split("## The map", 1)[1].split("```", 2)[1]
    folder, found = "", []
    for line in block.splitlines():
        if heading := re.fullmatch(r"(\S+)/", line):
            folder = heading[1]
        elif entry := re.match(r" {4}(\w+\.py) +\S", line):
            found.append(f"{folder}/{entry[1]}")
    return found


def test_the_map_names_every_file_once_and_says_something_of_it():
    tree = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if path.name != "__init__.py" and not path.relative_to(ROOT).as_posix().startswith("src/taskstream/c")
    }
    names = mapped()

    assert len(names) == len(set(names))
    assert set(names) == {name for name in tree if not any(part.is_symlink() for part in (ROOT / name).parents)}

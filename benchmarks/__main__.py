"""`python -m benchmarks [SECTION ...]` runs the sections: every module of this folder with a SECTION and a `run()`.

Figures of different machines or runs are not comparable; only those within one section are.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
from collections.abc import Callable
from pathlib import Path


def main(wanted: list[str]) -> int:
    sections = find_sections()
    if unknown := set(wanted) - sections.keys():
        print(f"there is no section {', '.join(sorted(unknown))}; there are {', '.join(sections)}", file=sys.stderr)
        return 2
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.python_implementation()} {platform.python_version()}"
    )
    failed = 0
    for name in wanted or sections:
        print(f"\n== {name}", flush=True)
        failed |= sections[name]() or 0
    return failed


def find_sections() -> dict[str, Callable[[], int | None]]:
    """[name] The function that runs the section; a result other than None and 0 is the exit status of a failure."""
    modules = (each.name for each in pkgutil.iter_modules([str(Path(__file__).parent)]) if each.name != "__main__")
    loaded = [importlib.import_module(f"benchmarks.{name}") for name in modules]
    return {module.SECTION: module.run for module in loaded if hasattr(module, "SECTION")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

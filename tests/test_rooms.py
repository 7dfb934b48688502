"""The import rules between the rooms, and what no file in the repository may contain. A failure names the file."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("schemas", "producer", "consumer", "compose")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "producer": {"producer", "schemas"},
    "consumer": {"consumer", "schemas"},
    "compose": set(ROOMS),
}
DECISIONS = (
    *(f"consumer/state/{name}.py" for name in ("event_ids", "fold", "health", "minutes", "rates", "series")),
    *(f"consumer/state/{name}.py" for name in ("series_table", "signals", "silence", "stall", "state_records")),
    *(f"consumer/state/{name}.py" for name in ("task_rollup", "trend")),
    *(f"consumer/state/forecast/{name}.py" for name in ("eta", "eta_claims", "mixed_rate", "survival")),
    *(f"consumer/state/tasks/{name}.py" for name in ("task_health", "task_index", "task_limit")),
    *("consumer/kafka/key_selection.py", "producer/events/report_validation.py"),
    *("schemas/topics.py", "schemas/codec/read_plan.py", "schemas/codec/record_validation.py"),
)
"""Files that contain only decisions: no I/O and no clock."""
MAX_FILES = 14
"""The most modules of one folder."""
IO_MODULES = {
    *("asyncio", "confluent_kafka", "http", "logging", "os", "pathlib", "random", "secrets", "socket", "structlog"),
    *("subprocess", "tempfile", "threading", "time", "urllib", "urllib3"),
}
HOSTS = re.compile(
    r"pypi\.org|pythonhosted|(?<!no-emit-)index-url|trusted-host|(?<!no-emit-)find-links|docker\.io[/:]|\.docker\.io|(ghcr|quay)\.io|mcr\.microsoft"
    r"|repo\d*\.maven|maven\.apache\.org/maven|registry\.npmjs|proxy\.golang|crates\.io|<repositor|<mirror"
)
PLACES = re.compile(r"(?<![\w.~}-])/(work|home/\w+|root)/")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    """All nodes of a file that can be an import, a class, or a read of the environment."""
    every = ast.walk(ast.parse(path.read_text("utf-8")))
    return [each for each in every if isinstance(each, ast.Import | ast.ImportFrom | ast.ClassDef | ast.Attribute)]


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, including imports only for types."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: a relative import hides which room is meant"
            yield node.module or ""


def rooms_imported(path: Path) -> set[str]:
    """The rooms that a file imports from, and the forbidden packages: the public API, tests and benchmarks."""
    found = set()
    for module in imported(path):
        first, _, rest = module.partition(".")
        if first == "taskstream":
            found.add(rest.partition(".")[0] or "the public API")
        elif first in ("tests", "benchmarks"):
            found.add(first)
    return found


def tracked() -> list[Path]:
    """The files that git tracks, and the untracked ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_a_room_imports_only_what_it_may():
    assert [
        f"{name_of(path)} imports {', '.join(sorted(wrong))}"
        for room in ROOMS
        for path in sources(room)
        if (wrong := rooms_imported(path) - MAY_IMPORT[room])
    ] == []


def test_a_room_is_imported_only_by_its_full_name():
    """`import schemas` works only in the repository's root."""
    every = [path for folder in (*ROOMS, "src", "tests", "benchmarks", "docs") for path in sources(folder)]

    assert [name_of(path) for path in every if {module.split(".")[0] for module in imported(path)} & set(ROOMS)] == []


def test_every_permitted_import_occurs():
    """So that a rename cannot make the import rules pass vacuously."""
    found = {room: set().union(*map(rooms_imported, sources(room))) for room in ROOMS}

    assert found == MAY_IMPORT


@pytest.mark.parametrize("path", [ROOT / name for name in DECISIONS], ids=name_of)
def test_a_file_of_decisions_does_no_io_and_reads_no_clock(path):
    assert {module.split(".")[0] for module in imported(path)} & IO_MODULES == set()


def test_the_environment_is_read_only_at_the_command_line():
    reads = [
        f"{name_of(path)}:{node.lineno}"
        for path in sources(*ROOMS)
        if not path.is_relative_to(ROOT / "compose" / "cli")
        for node in nodes(path)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"))
        or (isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & {"environ", "getenv"})
    ]

    assert reads == []


def test_no_file_has_a_name_without_meaning():
    meaningless = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}

    assert [name_of(path) for path in sources(*ROOMS) if path.stem in meaningless] == []


def test_no_class_name_occurs_twice():
    """A search for a class name then has one result."""
    files: dict[str, list[str]] = {}
    for path in sources(*ROOMS):
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                files.setdefault(node.name, []).append(name_of(path))

    assert {name: paths for name, paths in files.items() if len(paths) > 1} == {}


def test_no_folder_has_too_many_files():
    count = Counter(path.parent for path in sources(*ROOMS) if path.name != "__init__.py")

    assert {name_of(folder): files for folder, files in count.items() if files > MAX_FILES} == {}


def test_no_file_names_a_package_index_or_a_path_of_one_machine():
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{name_of(path)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(lines, 1)
            if HOSTS.search(line) or PLACES.search(line)
        ]

    assert found == []

"""`python -m tests.run.mutants PYTHON`: which small changes of the fold's rules does no test notice?

PYTHON is that of the environment with cosmic-ray, which makes the changes, see `mutations.py`. Each is tested in a copy
of the tree, in a fork of this process that has the libraries imported already; loops run as Python, not compiled. The
changes come in random order until the time is up; those that survive are printed and kept in build/mutants.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[2]
STATE = Path("tests/consumer/state")
FILES = [
    f"consumer/state/{name}.py"
    for name in (
        *("fold", "minutes", "rates", "trend", "stall", "health", "silence", "event_ids"),
        *("forecast/eta", "forecast/eta_claims", "forecast/mixed_rate"),
    )
]
TESTS = [
    str(STATE / f"test_{name}.py")
    for name in (
        *("fold_rules", "formulas", "silence", "expiry", "event_ids", "records", "records_restore"),
        *("table_transaction", "fold_laws", "fold_oracle", "fold_splits", "claims"),
    )
]
"""The quick ones first: the first failure ends a mutant."""
COPIED = ("consumer", "producer", "schemas", "compose", "src", "tests", "pyproject.toml")
LIBRARIES = ("confluent_kafka", "fastavro", "numba", "numpy", "pyarrow", "pydantic", "structlog")
LONGEST_TEST_S = 90.0
"""Of processor time; without any change none needs a quarter of it. A test that needs more has noticed an endless loop."""
CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed file."""

    file: str
    operator: str
    line: int
    source: str

    def diff(self) -> str:
        before = (ROOT / self.file).read_text("utf-8").splitlines()
        lines = difflib.unified_diff(before, self.source.splitlines(), self.file, self.operator, n=1, lineterm="")
        return "\n".join(lines)


class Copy:
    """A copy of the tree, in which one mutant at a time is tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mutant: Mutant | None = None
        self._pid = 0
        for name in COPIED:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
            else:
                shutil.copy(ROOT / name, folder / name)

    def start(self, mutant: Mutant | None) -> None:
        """Test the mutant, or the unchanged code; `outcome` is asked for later."""
        self.mutant = mutant
        if mutant is not None:
            (self.folder / mutant.file).write_text(mutant.source, "utf-8")
        self._pid = os.fork()
        if self._pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                os._exit(_run(self.folder))
            finally:
                os._exit(1)

    def outcome(self) -> int | None:
        """The exit code of the tests (negative: the signal that ended them), None while they run."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return None
        self._pid = 0
        if self.mutant is not None:
            shutil.copy(ROOT / self.mutant.file, self.folder / self.mutant.file)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="of the environment that has cosmic-ray")
    parser.add_argument("--minutes", type=float, default=30.0, help="end after this time (default: 30)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30), help="of their order")
    parser.add_argument("--processes", type=int, default=CORES, help="mutants at the same time (default: one a core)")
    parser.add_argument("--file", action="append", choices=FILES, help="only of this file; can be repeated")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    mutants = made(options.python, options.file or FILES)
    random.Random(options.seed).shuffle(mutants)
    deadline = time.monotonic() + options.minutes * 60
    sys.dont_write_bytecode = True  # a changed file may have the size and the second of the one before it
    _import_libraries()
    tested, survivors, copies = 0, [], []
    with tempfile.TemporaryDirectory(prefix="taskstream-mutants-") as folder:
        try:
            copies = [Copy(Path(folder) / str(number)) for number in range(options.processes)]
            print("the tests run once without any change ...", flush=True)
            check_unchanged(copies[0])
            print(f"{len(mutants)} mutants, in the order of --seed {options.seed}", flush=True)
            waiting, running = list(copies), []
            while (mutants and time.monotonic() < deadline) or running:
                while waiting and mutants and time.monotonic() < deadline:
                    running.append(waiting.pop())
                    running[-1].start(mutants.pop())
                for copy in list(running):
                    if (code := copy.outcome()) is not None:
                        running.remove(copy)
                        waiting.append(copy)
                        tested += 1
                        if code == 0:
                            assert copy.mutant is not None
                            survivors.append(copy.mutant)
                            print(f"\nsurvived:\n{copy.mutant.diff()}", flush=True)
                time.sleep(0.02)
        except KeyboardInterrupt:
            print("interrupted")
        finally:
            for copy in copies:
                copy.kill()
    kept = ROOT / "build" / "mutants"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("\n\n".join(each.diff() for each in sorted(survivors, key=lambda each: (each.file, each.line))))
    print(
        f"\n{tested} mutants tested, {len(survivors)} survived, {len(mutants)} not tested; see {kept.relative_to(ROOT)}"
    )
    return 0


def made(python: str, files: list[str]) -> list[Mutant]:
    command = [python, str(Path(__file__).with_name("mutations.py")), *files]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [Mutant(**json.loads(line)) for line in lines]


def check_unchanged(copy: Copy) -> None:
    """Fail where the tests fail without any change."""
    copy.start(None)
    while (code := copy.outcome()) is None:
        time.sleep(0.1)
    if code:
        raise SystemExit("the tests fail without any change")


def _import_libraries() -> None:
    """What every mutant would import anew; nothing of the project itself."""
    for name in LIBRARIES:
        importlib.import_module(name)
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # whoever finds a failure need not make it small
    hypothesis.settings.register_profile("mutants", phases=phases, derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")


def _run(folder: Path) -> int:
    """In the fork: the exit code of pytest on this copy."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.chdir(folder)
    sys.path[:0] = [str(folder / "src"), str(folder)]
    for name in [each for each in sys.modules if each.partition(".")[0] in {"tests", "taskstream"}]:
        del sys.modules[name]
    options = ("-x", "-q", "--noconftest", "--rootdir", str(folder), "-c", str(folder / "pyproject.toml"))
    without = [
        word for name in ("randomly", "xdist", "cacheprovider", "hypothesispytest") for word in ("-p", f"no:{name}")
    ]
    return int(pytest.main([*options, *without, "-p", "tests.run.interpreted", *TESTS], plugins=[_TimeLimit()]))


class _TimeLimit:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, LONGEST_TEST_S)  # SIGPROF ends the process


if __name__ == "__main__":
    sys.exit(main())

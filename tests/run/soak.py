"""`python -m tests.run.soak --times 10 --busy 2`: the whole suite again and again, in random order, on a busy machine too.

In every second run `--busy` processes compute beside it at normal priority. With `--stalls N`, about N processes of each
run a second, tests, programs and brokers, are stopped for up to 6 s: see tests/run/stalls.py. It prints a line for each
run and, at the end, a table of the tests that failed. What pytest printed, and its report, are kept in build/soak.
Exits with 1 if anything failed. Arguments after `--` go to pytest.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from xml.etree import ElementTree as ET

from taskstream.compose.local.guarded_process import GuardedProcess
from tests.run.stalls import Stalls
from tests.run.watcher import RUN_VARIABLE, part_of_this_run

FOLDER = Path("build") / "soak"
STOP_TIMEOUT_S = 60.0
WAIT_S = 0.5
COMPUTE = (sys.executable, "-I", "-S", "-c", "while True: pass")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one run of the suite gave."""

    number: int
    seed: int
    busy: int
    passed: int
    failed: tuple[str, ...]
    seconds: float

    def line(self) -> str:
        return f"{self.number:>3} | {self.seed:>10} | {self.busy:>4} | {self.passed:>6} | {len(self.failed):>6} | {self.seconds:>7.0f}"


HEADER = "run |       seed | busy | passed | failed | seconds"


def main() -> int:
    options = arguments(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    seeds = random.Random(options.seed)
    print(HEADER, flush=True)
    results = []
    try:
        for number in range(1, options.times + 1):
            results.append(run(number, seeds.randrange(1, 1 << 32), options))
            print(results[-1].line(), flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    failures = Counter(test for result in results for test in result.failed)
    print("\ntest | failures")
    for test, count in failures.most_common():
        print(f"{test} | {count}")
    complete = len(results) == options.times
    print(f"{len(results)} of {options.times} runs, {failures.total()} failures")
    return int(bool(failures) or not complete)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="how many runs")
    parser.add_argument("--busy", type=int, default=2, help="processes that compute beside every second run")
    parser.add_argument(
        "--stalls", type=float, default=0.0, help="how many processes of a run stand still for a moment, a second"
    )
    parser.add_argument("--seed", type=int, help="makes the runs' seeds the same again")
    parser.add_argument("--processes", type=int, default=5, help="that run tests")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args(given)
    for name, lowest in (("times", 1), ("busy", 0), ("stalls", 0), ("processes", 1)):
        if not getattr(options, name) >= lowest:  # as it is for NaN
            parser.error(f"--{name} {getattr(options, name)}: it must be at least {lowest}")
    return options


def run(number: int, seed: int, options: argparse.Namespace) -> RunResult:
    """One run of the suite; its processes end with this one, however that ends."""
    busy = options.busy if number % 2 == 0 else 0
    report = FOLDER / f"run-{number}.xml"
    command = (
        *(sys.executable, "-m", "pytest", f"--randomly-seed={seed}"),
        *("--numprocesses", str(options.processes), "--dist", "loadfile", "--pure-first", "--no-loadscope-reorder"),
        *(f"--junit-xml={report}", *options.pytest),
    )
    run_id = uuid.uuid4().hex
    begun = time.monotonic()
    with ExitStack() as running:
        for _ in range(busy):
            running.enter_context(guarded(COMPUTE, FOLDER / "busy.log"))
        environment = os.environ | {RUN_VARIABLE: part_of_this_run(run_id)}
        suite = running.enter_context(guarded(command, FOLDER / f"run-{number}.log", environment))
        if options.stalls:
            running.enter_context(Stalls(run_id, options.stalls, seed))
        while (code := suite.wait(WAIT_S)) is None:
            pass
    passed, failed = outcome(report, code)
    return RunResult(number, seed, busy, passed, failed, time.monotonic() - begun)


@contextmanager
def guarded(
    command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
) -> Iterator[GuardedProcess]:
    process = GuardedProcess(command, output, environment=environment, orphan_grace_s=STOP_TIMEOUT_S)
    process.start()
    try:
        yield process
    finally:
        process.stop(STOP_TIMEOUT_S)


def outcome(report: Path, code: int) -> tuple[int, tuple[str, ...]]:
    """How many tests passed and which failed; a run without a report is one failure."""
    if not report.exists():
        return 0, (f"(no report: pytest ended with {code})",)
    passed, failed = 0, []
    for case in ET.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}::{case.get('name')}")
        elif case.find("skipped") is None:
            passed += 1
    if code and not failed:
        failed.append(f"(pytest ended with {code})")
    return passed, tuple(failed)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

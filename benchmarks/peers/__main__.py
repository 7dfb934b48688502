"""`python -m benchmarks.peers [edge] [worker]` builds the peers and measures them beside taskstream; see README.md."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

from benchmarks.peers.build import build_go
from benchmarks.peers.edges import compare_edges
from benchmarks.peers.workers import compare_workers

SECTIONS = ("edge", "worker")


def main() -> None:
    options = parse_options()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {' '.join(f'{each:.1f}' for each in os.getloadavg())}")
    with tempfile.TemporaryDirectory() as folder:
        programs = build_go(Path(folder))
        if "edge" in options.sections:
            print("\n== edge", flush=True)
            compare_edges({"Go": programs["edge"]} if programs else {}, options.rounds, options.seconds)
        if "worker" in options.sections:
            print("\n== worker", flush=True)
            for series in options.series:
                workers = {"Go": programs["worker"]} if programs else {}
                compare_workers(workers, options.rounds, options.events, series)
    print(f"load at the end {' '.join(f'{each:.1f}' for each in os.getloadavg())}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-peers")
    parser.add_argument("sections", nargs="*", help="edge, worker; default: both")
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody is measured (default 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds per edge and load (default 4)")
    parser.add_argument("--events", type=int, default=1_000_000, help="events that a worker reads (default 1,000,000)")
    parser.add_argument("--series", type=int, nargs="+", default=[20_000], help="over how many series (default 20,000)")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    options.sections = options.sections or SECTIONS
    return options


if __name__ == "__main__":
    main()

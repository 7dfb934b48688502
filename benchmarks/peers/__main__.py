"""`python -m benchmarks.peers [edge] [worker] [restore]` builds the peers and measures them beside taskstream."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.build import build_peers
from benchmarks.peers.edges import compare_edges
from benchmarks.peers.restore import compare_restore
from benchmarks.peers.worker_peers import worker_peers
from benchmarks.peers.workers import compare_workers

SECTIONS = ("edge", "worker", "restore")


def main() -> None:
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that all processes and folders go
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {' '.join(f'{each:.1f}' for each in os.getloadavg())}")
    with tempfile.TemporaryDirectory() as folder:
        programs = build_peers(Path(folder), lambda program: any_chosen(program, options.peers))
        workers = {name: each for name, each in worker_peers(programs.workers).items() if chosen(name, options.peers)}
        if "edge" in options.sections:
            print("\n== edge", flush=True)
            edges = {name: each for name, each in programs.edges.items() if chosen(name, options.peers)}
            compare_edges(edges, options.rounds, options.seconds)
        if "worker" in options.sections:
            print("\n== worker", flush=True)
            for series in options.series:
                compare_workers(workers, options.rounds, options.events, series)
        if "restore" in options.sections:
            print("\n== restore", flush=True)
            compare_restore(workers, options.rounds, options.restored)
    print(f"load at the end {' '.join(f'{each:.1f}' for each in os.getloadavg())}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-peers")
    parser.add_argument("sections", nargs="*", help="edge, worker, restore; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody is measured (default 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds per edge and load (default 4)")
    parser.add_argument("--events", type=int, default=1_000_000, help="events that a worker reads (default 1,000,000)")
    parser.add_argument("--series", type=int, nargs="+", default=[20_000], help="over how many series (default 20,000)")
    parser.add_argument("--restored", type=int, default=1_000_000, help="series that are restored (default 1,000,000)")
    parser.add_argument(
        "--peers", nargs="+", default=[], help="only peers whose names begin so: Go, Rust, Netty, Streams"
    )
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    options.sections = options.sections or SECTIONS
    return options


def chosen(name: str, beginnings: Sequence[str]) -> bool:
    """Whether a name begins with one of these, or there are none."""
    return not beginnings or name.startswith(tuple(beginnings))


def any_chosen(program: str, beginnings: Sequence[str]) -> bool:
    """Whether one of these chooses a peer that this program is, in any of its modes."""
    return chosen(program, beginnings) or any(each.startswith(program) for each in beginnings)


if __name__ == "__main__":
    main()

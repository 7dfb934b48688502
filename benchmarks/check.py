"""Whether our ways became slower beside their references: ratios of CPU, compared with benchmarks/baseline.json.

The two ways of a pair run in turn. A pair fails the check if each of its groups of rounds has a ratio more than 15
percent above that of the baseline. TASKSTREAM_BENCH_BASELINE=write replaces the baseline: run it on the commit before a
change, on the same machine, to judge the change by ratios of that machine.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.check_edge import edge_ratio
from benchmarks.check_pairs import in_process_ratios
from benchmarks.check_topic import topic_ratios
from benchmarks.local import local_kafka
from benchmarks.ratios import compare, read_baseline, table_of, write_baseline

SECTION = "check"
BASELINE = Path(__file__).with_name("baseline.json")
WRITES = os.environ.get("TASKSTREAM_BENCH_BASELINE") == "write"


def run() -> int:
    """Print the table; 1 if a ratio is worse."""
    began_s = time.monotonic()
    print(f"load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores", flush=True)
    ratios = in_process_ratios()
    with local_kafka() as kafka:
        ratios |= topic_ratios(kafka)
        ratios |= edge_ratio(kafka)
    if WRITES:
        write_baseline(BASELINE, ratios)
        print(f"  the baseline is {BASELINE}")
    compared = compare(ratios, read_baseline(BASELINE))
    print(table_of(compared))
    worse = [each for each in compared if each.is_worse]
    for each in worse:
        print(f"  {each.name}: {each.growth:.0%} more CPU beside its reference than in the baseline")
    print(f"load {os.getloadavg()[0]:.1f}; {time.monotonic() - began_s:.0f} s", flush=True)
    return 1 if worse else 0

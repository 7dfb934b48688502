"""The memory of a task of one subtask with a trace of full length, in a worker and in a view, without Kafka.

The figure is the growth of a process from 20,000 to 60,000 tasks, divided by the tasks, so that fixed costs drop out.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from benchmarks.fold import resident_bytes
from taskstream.consumer.kafka.state_decoder import StateChanges
from taskstream.consumer.state.series_table import SeriesTable, Settings
from taskstream.consumer.state.tasks.task_health import TaskHealth
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.producer.admission.live_tasks import LiveTasks
from tests.consumer.view.read_models import NOW, row

SECTION = "memory"
TRACE_CHARS = 2_048
FIRST, LAST = 20_000, 60_000
CHUNK = 2_000
TRACES = {"no": "", "ascii": "x", "emoji": "\U0001f680"}
"""What a trace is made of: Python keeps 1 byte per character of ASCII, and 4 where a trace has an emoji."""


def run() -> None:
    """Print the figures."""
    for process in PROCESSES:
        for trace in TRACES if process != "edge" else ("no",):
            command = [sys.executable, "-m", "benchmarks.task_memory", process, trace]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            text = f"traces of {TRACE_CHARS:,} characters ({trace})" if TRACES[trace] else "no traces"
            print(f"{process}, {text}: {float(done.stdout):,.0f} bytes per task", flush=True)


def changes(first: int, character: str) -> StateChanges:
    """A chunk of rows from the state topic, of tasks with the ids of UUIDs."""
    keys = [f"project-{number % 20}/{number:032x}-0000/MIGRATE_LINUX_FILE" for number in range(first, first + CHUNK)]
    body = character * (TRACE_CHARS - 8)
    traces = pa.array([f"{number:08}{body}" if body else None for number in range(first, first + CHUNK)], pa.string())
    return StateChanges(keys, np.repeat(row(), CHUNK), traces, pa.nulls(CHUNK, pa.string()))


def worker(character: str) -> Callable[[int], None]:
    table = SeriesTable(Settings(tasks_per_project=50_000, partitions=12))
    health = TaskHealth(table)

    def add(first: int) -> None:
        changes(first, character).apply_to(table)
        health.refresh()

    return add


def view(character: str) -> Callable[[int], None]:
    model = ReadModel(Settings())
    return lambda first: model.apply(changes(first, character), NOW)


def edge(_character: str) -> Callable[[int], None]:
    tasks = LiveTasks(LAST)

    def add(first: int) -> None:
        for number in range(first, first + CHUNK):
            tasks.admit("project", f"project/{number:032x}", 0.0)

    return add


PROCESSES = {"worker": worker, "view": view, "edge": edge}


def bytes_per_task(process: str, trace: str) -> float:
    add = PROCESSES[process](TRACES[trace])
    before = 0
    for first in range(0, LAST, CHUNK):
        if first == FIRST:
            before = resident_bytes()
        add(first)
    return (resident_bytes() - before) / (LAST - FIRST)


if __name__ == "__main__":
    print(bytes_per_task(*sys.argv[1:]))

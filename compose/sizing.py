"""How large a deployment has to be for a number of tasks: arithmetic on measured figures. It connects to nothing.

Each figure says how it was measured: on two shared cores of one machine, with broker and load beside, which makes CPU
times rather too high than too low.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EDGE_US, WORKER_US, VIEW_US = 80.0, 40.0, 60.0
"""CPU time per report: of the edge with 64 connections (README); of a worker and of a view that follow a live fleet of
10,000 tasks at 570 reports per second, where each report changes a row."""
EDGE_MB, WORKER_MB, VIEW_MB = 62.0, 230.0, 176.0
"""Resident memory of a process without series, in 10**6 bytes, in that run."""
WORKER_SERIES_BYTES, VIEW_SERIES_BYTES = 1_600.0, 2_700.0
"""Memory per series without a trace, and one byte more per character of ASCII in it (`make bench ARGS=memory`)."""
REPORT_BYTES, STATE_BYTES, WINDOW_BYTES = 520.0, 530.0, 180.0
"""On disk per record of progress, state and rates with key, headers and batch: 300 simulated tasks at 30 reports per
second. At higher rates batches grow, and records of the state shrink to 210 bytes."""
BUSY = 0.5
"""How much of a core a process is planned to use: the rest is for catching up after a stop."""
MEMORY_MARGIN = 1.5
"""For arrays that double when they grow, and for allocators that keep what was freed."""
STATE_COPIES, STATE_OPEN_S = 1.25, 7_200.0
"""The state topic holds its latest records, a quarter more that is not compacted yet (`min.cleanable.dirty.ratio` 0.2),
and what was written since its segments were opened (`segment.ms`, an hour) and until the cleaner has come."""
VIEW_LIMIT = 0.8
"""The part of a core above which one view falls behind: it holds every series and reads with one core."""
_DAY_S = 86_400.0
_LEAST = 2
_PARTITIONS = 12


@dataclass(frozen=True)
class Workload:
    """What arrives: so many live tasks, each of which reports every `every_s` seconds.

    series_per_task: the subtasks of a task that are kept, a row each.
    trace_characters: the length of a report's process_trace.
    """

    tasks: int
    every_s: float
    series_per_task: float = 3.0
    trace_characters: int = 0
    retention_days: float = 30.0
    replicas: int = 3

    @property
    def reports_per_s(self) -> float:
        """Of all tasks."""
        return self.tasks / self.every_s


@dataclass(frozen=True)
class ProcessSize:
    """So many processes of one part, and the CPU (cores) and memory (10**6 bytes) that each of them takes."""

    count: int
    cores_each: float
    memory_mb_each: float


@dataclass(frozen=True)
class DeploymentSize:
    """The answer. Disk is of all replicas together; rates are of all brokers together, in 10**6 bytes per second."""

    reports_per_s: float
    series: int
    partitions: int
    edge: ProcessSize
    worker: ProcessSize
    view: ProcessSize
    disk_gb_per_day: float
    disk_gb: float
    received_mb_per_s: float
    replicated_mb_per_s: float
    sent_mb_per_s: float
    warnings: tuple[str, ...]


def deployment_size(load: Workload) -> DeploymentSize:
    """The size for a load. Two of each process are the least: one may be stopped or die."""
    reports, series = load.reports_per_s, round(load.tasks * load.series_per_task)
    workers = max(_LEAST, _processes(reports * WORKER_US))
    windows = min(reports, load.tasks / 60.0)
    report_bytes, state_bytes = REPORT_BYTES + load.trace_characters, STATE_BYTES + load.trace_characters
    kept_per_s = reports * report_bytes + windows * WINDOW_BYTES
    written_per_s = kept_per_s + reports * state_bytes
    disk_per_day = kept_per_s * _DAY_S * load.replicas
    state = state_bytes * (series * STATE_COPIES + reports * STATE_OPEN_S) * load.replicas
    edges = max(_LEAST, _processes(reports * EDGE_US))
    view_cores = reports * VIEW_US / 1e6
    return DeploymentSize(
        reports_per_s=reports,
        series=series,
        partitions=max(_PARTITIONS, math.ceil(4 * workers / _PARTITIONS) * _PARTITIONS),
        edge=ProcessSize(edges, reports * EDGE_US / 1e6 / edges, EDGE_MB),
        worker=ProcessSize(
            workers,
            reports * WORKER_US / 1e6 / workers,
            WORKER_MB + _table_mb(series / (workers - 1), WORKER_SERIES_BYTES, load),  # one of them is down
        ),
        view=ProcessSize(_LEAST, view_cores, VIEW_MB + _table_mb(series, VIEW_SERIES_BYTES, load)),
        disk_gb_per_day=disk_per_day / 1e9,
        disk_gb=(disk_per_day * load.retention_days + state) / 1e9,
        received_mb_per_s=written_per_s / 1e6,
        replicated_mb_per_s=written_per_s * (load.replicas - 1) / 1e6,
        sent_mb_per_s=reports * (report_bytes + _LEAST * state_bytes) / 1e6,
        warnings=tuple(_warnings(load, view_cores)),
    )


def _processes(busy_us_per_s: float) -> int:
    return math.ceil(busy_us_per_s / 1e6 / BUSY)


def _table_mb(series: float, bytes_each: float, load: Workload) -> float:
    return series * (bytes_each + load.trace_characters) * MEMORY_MARGIN / 1e6


def _warnings(load: Workload, view_cores: float) -> list[str]:
    told = []
    if view_cores > VIEW_LIMIT:
        told.append(
            f"a view would take {view_cores:.1f} cores, and it has one: report less often than every {load.every_s:g} "
            "s, or split the fleet over several --prefix, each with its views"
        )
    if load.replicas < 3:
        told.append(f"{load.replicas} replicas: the loss of one broker loses data or stops the pipeline; 3 survives it")
    return told

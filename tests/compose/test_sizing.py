"""The calculator: what grows with what, its limits, and that the table of the documentation is its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.sizing import Workload, deployment_size

LOADS = ((1_000, 10), (10_000, 10), (100_000, 60), (100_000, 10), (1_000_000, 120))
DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
LOAD = Workload(100_000, 10.0)


def line(tasks: int, every_s: int) -> str:
    found = deployment_size(Workload(tasks, every_s))
    cells = (
        f"{tasks:,}, {every_s} s",
        f"{found.reports_per_s:,.0f}",
        str(found.partitions),
        str(found.edge.count),
        f"{found.worker.count}, {found.worker.memory_mb_each:,.0f} MB",
        f"{found.view.count}, {found.view.memory_mb_each:,.0f} MB, {found.view.cores_each:.2f}",
        f"{found.disk_gb_per_day:,.0f} GB",
        f"{found.received_mb_per_s:,.1f} MB/s",
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_of_the_documentation_is_what_it_computes():
    assert "\n".join(line(*load) for load in LOADS) in DOCUMENT.read_text("utf-8")


def test_what_arrives_is_what_tasks_and_interval_make():
    assert deployment_size(LOAD).reports_per_s == 10_000
    assert deployment_size(replace(LOAD, every_s=20.0)).reports_per_s == 5_000


def test_there_are_two_of_each_process_however_few_tasks():
    found = deployment_size(Workload(1, 3_600.0))
    assert [each.count for each in (found.edge, found.worker, found.view)] == [2, 2, 2]
    assert found.partitions == 12


def test_no_process_is_planned_for_more_than_half_a_core_but_a_view_that_cannot_be_split():
    found = deployment_size(Workload(1_000_000, 10.0))
    assert max(found.edge.cores_each, found.worker.cores_each) <= 0.5
    assert found.partitions >= found.worker.count
    assert found.view.cores_each > 1
    assert "split the fleet over several --prefix" in found.warnings[0]


@pytest.mark.parametrize(
    ("change", "figure"),
    [
        ({"replicas": 6}, "disk_gb_per_day"),
        ({"replicas": 6}, "disk_gb"),
        ({"every_s": 5.0}, "received_mb_per_s"),
        ({"every_s": 5.0}, "sent_mb_per_s"),
        ({"series_per_task": 6.0}, "series"),
    ],
)
def test_what_doubles_doubles(change, figure):
    before, after = getattr(deployment_size(LOAD), figure), getattr(deployment_size(replace(LOAD, **change)), figure)
    assert after / before == pytest.approx(2.0, rel=0.1)


def test_a_worker_has_memory_for_the_series_of_one_that_is_down():
    found = deployment_size(replace(LOAD, series_per_task=10.0))
    assert found.worker.count == 2
    assert found.worker.memory_mb_each > 1_000_000 * 1_600 / 1e6


def test_traces_take_memory_and_disk():
    with_traces = deployment_size(replace(LOAD, trace_characters=2_048))
    assert with_traces.view.memory_mb_each > 300_000 * 4_700 / 1e6
    assert with_traces.disk_gb_per_day > 4 * deployment_size(LOAD).disk_gb_per_day


def test_fewer_than_three_replicas_are_warned_of():
    assert "loss of one broker" in deployment_size(replace(LOAD, replicas=1)).warnings[0]
    assert not deployment_size(LOAD).warnings


def test_the_command_prints_the_same_as_text_and_as_json():
    words = ["size", "--tasks", "100000", "--every", "10s"]
    found = json.loads(CliRunner().invoke(cli, [*words, "-o", "json"]).stdout)
    text = CliRunner().invoke(cli, words).stdout
    assert found["reports_per_s"] == 10_000
    assert f"{found['view']['memory_mb_each']:,.0f} MB" in text
    assert "10,000 reports per second, 300,000 series" in text

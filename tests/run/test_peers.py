"""What `make bench-peers` decides without a Kafka: equal answers, missing toolchains, who is started with what."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.__main__ import any_chosen
from benchmarks.peers.answers import ROW_FIELDS, WINDOW_FIELDS, Answers, answers_of
from benchmarks.peers.build import BuildError, Programs, build_peers, find, run, with_source, without_logical_types
from benchmarks.peers.edge_answers import answer_differences
from benchmarks.peers.edges import OURS
from benchmarks.peers.irregular import irregular_reports
from benchmarks.peers.restore import records_restored
from benchmarks.peers.worker_peers import Job, worker_peers
from benchmarks.peers.workers import check_equal

IDENTITY = {"project_id": "p", "task_id": "t", "subtask_name": "s"}
ROW = IDENTITY | dict.fromkeys(ROW_FIELDS, 7) | {"rate_fast_bps": 3.0, "rate_slow_bps": None}
WINDOW = IDENTITY | dict.fromkeys(WINDOW_FIELDS, 7) | {"window_start": 60}
OTHER_ROW = ROW | {"task_id": "u", "rate_fast_bps": 1e9}


def answers() -> Answers:
    return answers_of([ROW, OTHER_ROW], [WINDOW])


def test_answers_do_not_depend_on_the_order_of_rows_and_windows():
    later = WINDOW | {"window_start": 120}
    assert answers_of([OTHER_ROW, ROW], [later, WINDOW]) == answers_of([ROW, OTHER_ROW], [WINDOW, later])


def test_rates_may_differ_in_their_last_digits():
    theirs = answers_of([ROW, OTHER_ROW | {"rate_fast_bps": 1e9 * (1 + 1e-12)}], [WINDOW])
    assert answers().differences(theirs) == []


@pytest.mark.parametrize("field", ROW_FIELDS)
def test_a_different_field_of_a_row_is_a_different_answer(field):
    (difference,) = answers().differences(answers_of([ROW, OTHER_ROW | {field: 8}], [WINDOW]))[-1:]
    assert difference.startswith("row_digest: ")


@pytest.mark.parametrize("field", WINDOW_FIELDS)
def test_a_different_field_of_a_window_is_a_different_answer(field):
    (difference,) = answers().differences(answers_of([ROW, OTHER_ROW], [WINDOW | {field: 8}]))
    assert difference.startswith("window_digest: ")


def test_a_missing_row_and_another_rate_are_named():
    names = [each.partition(":")[0] for each in answers().differences(answers_of([ROW], [WINDOW]))]
    assert names == ["rows", "reports", "row_digest", "rate_fast_bps"]


def test_a_comparison_ends_where_a_peer_gives_another_answer():
    with pytest.raises(AssertionError, match="the answers of taskstream and Go differ: windows: 1 and 0"):
        check_equal({OURS: answers(), "Go": answers_of([ROW, OTHER_ROW], [])})
    assert "2 rows of 14 reports, 1 windows" in check_equal({OURS: answers(), "Go": answers()})


def test_an_edge_differs_where_it_answers_or_stores_something_else():
    ours = {"a report": {"key": b"p/t"}, "no JSON": 400}
    assert answer_differences(ours, dict(ours)) == []
    assert answer_differences(ours, ours | {"no JSON": 500}) == ["no JSON: 400 and 500"]


def test_irregular_reports_break_every_rule_of_the_fold():
    rng = np.random.default_rng(1)
    reports = [each for number in range(20) for each in irregular_reports(rng, str(number))]
    pairs = [(one, two) for one, two in itertools.pairwise(reports) if one["task_id"] == two["task_id"]]
    distinct = [(one, two) for one, two in pairs if one != two]
    assert len(distinct) < len(pairs)
    for field in ("received_at", "replicatesize", "progress"):
        assert any(two[field] < one[field] for one, two in distinct)
    assert any(two["received_at"] - one["received_at"] > 31 * 60 * 1_000_000 for one, two in distinct)


def test_a_missing_program_is_named_with_how_to_get_it():
    with pytest.raises(BuildError, match="no-such-compiler is missing; install it"):
        find("no-such-compiler", "install it")


def test_a_build_that_fails_or_takes_too_long_is_an_error(tmp_path):
    with pytest.raises(BuildError, match="`false` failed"):
        run(["false"], tmp_path)
    with pytest.raises(BuildError, match="`sleep 600` took longer than 0 s"):
        run(["sleep", "600"], tmp_path, timeout_s=0.01)


def test_peers_without_their_toolchain_are_left_out(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert build_peers(tmp_path) == Programs({}, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in lines] == [
        "left out: Go: go is missing",
        "left out: Rust: cargo is missing",
        "left out: Netty and Streams: javac is missing",
    ]


def test_only_chosen_peers_are_built(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", "")
    build_peers(tmp_path, lambda program: any_chosen(program, ["Streams, memory"]))
    assert capsys.readouterr().out.startswith("left out: Netty and Streams: ")
    assert any_chosen("Go", ["G"])
    assert any_chosen("Go", [])
    assert not any_chosen("Go", ["Rust", "Streams"])


def test_streams_runs_with_each_store_and_number_of_threads():
    peers = worker_peers({"Go": ("worker",), "Streams": ("java",)})
    assert list(peers) == [
        "Go",
        "Streams, memory, 1 thread",
        "Streams, memory, 2 threads",
        "Streams, rocksdb, 1 thread",
        "Streams, rocksdb, 2 threads",
    ]
    job = Job("localhost:9092", "source", "rates", "state", "group", Path("/folder"))
    assert peers["Streams, rocksdb, 2 threads"].command(job)[6:9] == ["/folder", "rocksdb", "2"]
    assert worker_peers({}) == {}


def test_pinned_packages_get_cargos_own_source_and_keep_their_checksums():
    pinned = '[[package]]\nname = "a"\nversion = "1"\nchecksum = "c"\n\n[[package]]\nname = "edge"\nversion = "0"\n'
    generated = '[[package]]\nname = "a"\nversion = "2"\nsource = "index"\nchecksum = "d"\n'
    assert with_source(pinned, generated) == pinned.replace('"1"\n', '"1"\nsource = "index"\n')
    with pytest.raises(BuildError, match="names 0 sources"):
        with_source(pinned, "")


def test_generated_coders_get_a_schema_without_logical_types():
    time = {"type": "long", "logicalType": "timestamp-micros"}
    schema = {"fields": [{"name": "at", "type": time}, {"name": "until", "type": ["null", time]}]}
    assert without_logical_types(schema) == {
        "fields": [{"name": "at", "type": {"type": "long"}}, {"name": "until", "type": ["null", {"type": "long"}]}]
    }


def test_streams_is_ready_with_the_records_that_it_says():
    assert records_restored("INFO\nready 0\nready 1000\n") == 1000
    assert records_restored("not ready 5\n") == 0

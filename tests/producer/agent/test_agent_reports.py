"""The reports of a copy, and that no behaviour of the edge affects the copy."""

import json
import os
import socket
import threading
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from taskstream.producer.agent import CopyJob, CopyResult, copy_tree
from taskstream.producer.agent.progress_meter import ProgressMeter
from taskstream.producer.agent.report_fields import shortened
from taskstream.producer.agent.reporter import Reporter
from taskstream.producer.agent.throttle import Throttle
from taskstream.producer.agent.tree import printable
from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.progress_client import ProgressClient, Report
from taskstream.producer.client.retry_policy import RetryPolicy
from taskstream.producer.clock import SteppedClock
from taskstream.producer.events.report_validation import parse_report
from tests.producer.agent.trees import contents, plant, size_of
from tests.producer.client.scripted_edge import ScriptedEdge, ScriptedResponse, error
from tests.waiting import wait_until

SUBTASKS = ["ATTACH_AGENT_IMAGE", "MIGRATE_LINUX_FILE", "SYNC_LINUX_FILE", "CONFIGURE_LINUX_FILE"]
FAST_RETRIES = RetryPolicy(backoff_first_s=0.01, backoff_most_s=0.02)
BUSY = error(503, "SMS.0503", "Kafka is away")
REPORT = Report("MIGRATE_LINUX_FILE", 1, 1, 100, "")


def client_of(edge: ScriptedEdge) -> ProgressClient:
    return ProgressClient(edge.url, AuthToken.of("secret-token"), policy=FAST_RETRIES)


def run(edge_url: str, source: Path, destination: Path, **options) -> CopyResult:
    asked = {name: options.pop(name) for name in ("on_progress", "stop", "clock", "warn") if name in options}
    with ProgressClient(edge_url, AuthToken.of("secret-token"), policy=FAST_RETRIES) as client:
        return copy_tree(CopyJob(source, destination, "t-1", **options), client, **asked)


@pytest.fixture
def source(tmp_path):
    return plant(tmp_path / "src", {f"folder/{n}": os.urandom(100_000 + n) for n in range(20)})


def test_the_final_reports_are_in_order_and_exact_to_the_byte(tmp_path, source):
    with ScriptedEdge() as edge:
        result = run(edge.url, source, tmp_path / "dst")
    names = [request.body["subtask_name"] for request in edge.acknowledged]
    assert list(dict.fromkeys(names)) == SUBTASKS
    for subtask in result.subtasks:
        last = edge.last(subtask.name)
        assert (last["progress"], last["replicatesize"], last["totalsize"]) == (
            100,
            subtask.replicatesize,
            subtask.totalsize,
        )
    assert edge.last("MIGRATE_LINUX_FILE")["replicatesize"] == size_of(source) == result.bytes
    assert edge.last("SYNC_LINUX_FILE")["totalsize"] == 0
    assert {request.path for request in edge.requests} == {"/v3/tasks/t-1/progress"}


def test_every_report_is_valid_and_has_the_measured_figures(tmp_path, source):
    """Time passes only in the sleeps of the limit, and the copy goes on only after the next report."""

    def on_progress(progress):
        if progress.subtask == "MIGRATE_LINUX_FILE" and not progress.ended:
            before = len(edge.acknowledged)
            wait_until(lambda: len(edge.acknowledged) > before)

    with ScriptedEdge() as edge:
        limits = {"bwlimit_bps": 400_000, "interval_s": 0.01}
        run(edge.url, source, tmp_path / "dst", clock=SteppedClock(), on_progress=on_progress, **limits)
    assert len(edge.acknowledged) > 6
    for request in edge.acknowledged:
        body = request.body
        assert 0 <= body["progress"] <= 100
        assert 0 <= body["replicatesize"] <= body["totalsize"]
        assert 0 <= body["migrate_speed"] <= 10_000
        assert 0 <= body.get("remain_time", 0) <= 2**31 - 1
        assert 0 <= body.get("agent_cpu_usage", 0) <= 100
        assert body["agent_mem_usage"] > 1
        assert datetime.fromisoformat(body["agent_time"]).tzinfo is not None
        assert len(body["process_trace"]) <= 2048
        assert not parse_report(json.dumps(body).encode()).unknown_names
    middle = edge.bodies("MIGRATE_LINUX_FILE")[len(edge.bodies("MIGRATE_LINUX_FILE")) // 2]
    assert "folder/" in middle["process_trace"]
    assert 1.6 < middle["migrate_speed"] < 6.4
    assert middle["remain_time"] >= 1
    # The average speed of a limited copy is about its limit, in Mbit/s.
    assert edge.last("MIGRATE_LINUX_FILE")["migrate_speed"] == pytest.approx(3.2, rel=0.1)


def test_names_that_are_not_utf8_make_valid_reports(tmp_path):
    source = plant(tmp_path / "src", {os.fsdecode(b"\xff" * n + b"\n\x1b"): b"x" * 100_000 for n in (1, 50)})
    with ScriptedEdge() as edge:
        run(edge.url, source, tmp_path / "dst", bwlimit_bps=400_000, interval_s=0.02)
    traces = {request.body["process_trace"] for request in edge.acknowledged}
    assert any(r"\xff\n\x1b" in trace for trace in traces)
    assert all(parse_report(json.dumps(request.body).encode()) for request in edge.acknowledged)


def test_bytes_and_percent_never_fall(tmp_path, source):
    with ScriptedEdge() as edge:
        run(edge.url, source, tmp_path / "dst", bwlimit_bps=2_000_000, interval_s=0.02)
    bodies = edge.bodies("MIGRATE_LINUX_FILE")
    assert len(bodies) > 2, "too few reports to compare; about fifty are expected"
    assert all(one["replicatesize"] <= two["replicatesize"] for one, two in pairwise(bodies))
    assert all(one["progress"] <= two["progress"] for one, two in pairwise(bodies))


def test_a_resumed_copy_reports_present_bytes_as_copied_but_not_in_the_speed(tmp_path, source):
    with ScriptedEdge() as edge:
        run(edge.url, source, tmp_path / "dst")
        run(edge.url, source, tmp_path / "dst")
    last = edge.last("MIGRATE_LINUX_FILE")
    assert last["replicatesize"] == last["totalsize"] == size_of(source)
    assert last["migrate_speed"] == 0


def test_the_reports_are_counted_as_the_edge_counts_them(tmp_path, source):
    with ScriptedEdge(BUSY, BUSY, ScriptedResponse(hang_up=True)) as edge:
        result = run(edge.url, source, tmp_path / "dst", bwlimit_bps=8_000_000, interval_s=0.05)
    assert result.reports.acknowledged == len(edge.acknowledged)
    assert result.reports.acknowledged + result.reports.retried == len(edge.requests)
    assert (result.reports.retried, result.reports.failed) == (3, 0)
    assert len({request.headers["Idempotency-Key"] for request in edge.requests}) == result.reports.acknowledged


def test_an_edge_that_does_not_answer_does_not_delay_the_copy(tmp_path, source):
    ended = threading.Event()

    def on_progress(progress):
        if progress.subtask == "CONFIGURE_LINUX_FILE" and progress.ended:
            ended.set()

    with ScriptedEdge(ScriptedResponse(wait=ended)) as edge:
        result = run(edge.url, source, tmp_path / "dst", on_progress=on_progress)
    # The edge's first response came only after the end of the copy.
    assert result.complete
    assert list(dict.fromkeys(request.body["subtask_name"] for request in edge.acknowledged)) == SUBTASKS


def test_an_outage_during_the_whole_copy_delays_the_final_reports_and_loses_none(tmp_path, source):
    with ScriptedEdge(always=BUSY) as edge:

        def on_progress(progress):
            if progress.subtask == "CONFIGURE_LINUX_FILE" and progress.ended:
                wait_until(lambda: len(edge.requests) > 1)  # so the first one was refused
                edge.always = ScriptedResponse()

        result = run(edge.url, source, tmp_path / "dst", on_progress=on_progress, interval_s=0.02)
    assert [
        request.body["subtask_name"] for request in edge.acknowledged if request.body["progress"] == 100
    ] == SUBTASKS
    assert result.complete
    assert result.reports.retried > 0


def test_refused_reports_do_not_stop_the_copy_and_are_warned_about_once_per_kind(tmp_path, source):
    warned = []
    with ScriptedEdge(always=error(401, "APIGW.0301", "bad token")) as edge:
        result = run(edge.url, source, tmp_path / "dst", warn=warned.append)
    assert contents(tmp_path / "dst") == contents(source)
    assert result.problems == ()
    assert result.reports.undelivered == tuple(SUBTASKS)
    assert result.reports.acknowledged == 0
    assert not result.complete
    assert len(warned) == 1
    assert "401 APIGW.0301 bad token" in warned[0]


def test_refused_connections_do_not_stop_the_copy_nor_delay_its_end_beyond_the_limit(tmp_path, source):
    warned = []
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        result = run(url, source, tmp_path / "dst", warn=warned.append, deliver_within_s=0.2)
    assert contents(tmp_path / "dst") == contents(source)
    assert result.reports.undelivered == tuple(SUBTASKS)
    assert len(warned) == 1
    assert "Connection refused" in warned[0]


def test_a_final_report_is_retried_with_its_event_id():
    with ScriptedEdge(*[BUSY] * 30) as edge, client_of(edge) as client:
        reporter = Reporter(client, "t", lambda: None, interval_s=0.01, warn=lambda _: None, try_for_s=0.05)
        with reporter:
            reporter.queue_final(REPORT)
            counts = reporter.close(within_s=20)
    assert (counts.acknowledged, counts.failed, counts.retried) == (1, 0, 30)
    assert len({request.headers["Idempotency-Key"] for request in edge.requests}) == 1


def test_an_interim_report_is_dropped_for_a_newer_one_while_the_edge_is_busy():
    numbers = iter(range(1000))

    def current_report() -> Report:
        return Report("MIGRATE_LINUX_FILE", 1, next(numbers), 1000, "")

    with ScriptedEdge(*[BUSY] * 20) as edge, client_of(edge) as client:
        reporter = Reporter(client, "t", current_report, interval_s=0.01, warn=lambda _: None, try_for_s=0.03)
        with reporter:
            wait_until(lambda: edge.acknowledged)
            counts = reporter.close(within_s=5)
    assert counts.failed >= 1
    assert counts.undelivered == ()
    assert edge.acknowledged[0].body["replicatesize"] > edge.requests[0].body["replicatesize"]


def test_no_report_is_sent_before_the_edges_retry_after():
    slow_down = error(429, "APIGW.0308", "slow down", **{"Retry-After": "3600"})
    with ScriptedEdge(slow_down) as edge, client_of(edge) as client:
        reporter = Reporter(client, "t", lambda: REPORT, interval_s=0.01, warn=lambda _: None)
        with reporter:
            wait_until(lambda: edge.requests)
            reporter.queue_final(REPORT)
            counts = reporter.close(within_s=0.3)
    assert len(edge.requests) == 1
    assert counts.undelivered == ("MIGRATE_LINUX_FILE",)


def test_a_copy_that_hangs_is_still_reported():
    meter = ProgressMeter(SteppedClock())
    meter.begin_subtask("MIGRATE_LINUX_FILE", items=1, bytes_total=10)
    with ScriptedEdge() as edge, client_of(edge) as client:
        reporter = Reporter(client, "t", lambda: REPORT, interval_s=0.01, warn=lambda _: None)
        with reporter:
            wait_until(lambda: len(edge.acknowledged) >= 5)


def test_the_speed_is_that_of_the_last_ten_seconds_and_falls_to_zero_in_a_stall():
    clock = SteppedClock()
    meter = ProgressMeter(clock)
    meter.begin_subtask("MIGRATE_LINUX_FILE", items=1, bytes_total=100_000)
    for _ in range(30):
        clock.sleep(1)
        meter.add_moved(1000)
    assert meter.progress().speed_bps == pytest.approx(1000)
    assert meter.progress().remaining_s == pytest.approx(70)
    clock.sleep(5)
    assert meter.progress().speed_bps == pytest.approx(1000 / 2, rel=0.2)
    clock.sleep(10)
    assert meter.progress().speed_bps == 0
    assert meter.progress().remaining_s is None


def test_percent_is_100_only_when_the_subtask_is_complete():
    meter = ProgressMeter(SteppedClock())
    meter.begin_subtask("MIGRATE_LINUX_FILE", items=2, bytes_total=1000)
    meter.add_moved(999)
    assert meter.progress().percent == 99
    meter.add_moved(1)
    assert meter.progress().percent == 99
    assert meter.end_subtask("", complete=False)[0].percent == 99
    assert meter.end_subtask("", complete=True)[0].percent == 100


def test_without_bytes_percent_counts_entries():
    meter = ProgressMeter(SteppedClock())
    meter.begin_subtask("CONFIGURE_LINUX_FILE", items=4)
    meter.add_item()
    assert meter.progress().percent == 25


def test_a_throttle_keeps_its_rate_over_any_interval():
    clock = SteppedClock()
    throttle = Throttle(1000, clock)
    passed = [(clock.now_s, 0)]
    total = 0
    for count in [1, 500, 3, 2000, 100, 7] * 20:
        throttle.count_and_wait(count)
        total += count
        passed.append((clock.now_s, total))
        if count == 7:
            clock.sleep(3)  # idle time must not accumulate tokens beyond the burst
    for begin, before in passed:
        for end, after in passed:
            if end > begin:
                assert after - before <= 1000 * (end - begin) + 100 + 2000


def test_a_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="0 bytes per second"):
        Throttle(0, SteppedClock())


def test_a_trace_is_one_printable_line_of_bounded_length():
    path = os.fsdecode(b"a\n\xff\x1b" + "é".encode() + b"/" * 5 + b"end")
    assert printable(path) == r"a\n\xff\x1bé/////end"
    assert printable("") == "."
    long = shortened("b" * 3000 + "the end", 2048)
    assert len(long) == 2048
    assert long.endswith("the end")
    assert "..." in long

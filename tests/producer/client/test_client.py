"""The client against a real server that misbehaves; only the clock is not real, so nothing here waits."""

import json
import logging
import socket
import threading
import traceback
import uuid
from email.utils import formatdate

import pytest

from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.progress_client import ProgressClient, Report
from taskstream.producer.client.retry_policy import RetryPolicy, retry_after_s
from taskstream.producer.clock import SteppedClock
from taskstream.producer.errors import (
    AnswerUnreadable,
    CallerRefused,
    EdgeError,
    EdgeUnavailable,
    RequestRefused,
    TokenUnusable,
)
from tests.producer.client.moody_edge import MoodyEdge, Says, error

SECRET = "gAAAA-secret-token"
REPORT = Report("MIGRATE_LINUX_FILE", 50, 500, 1000, "half way")
BUSY = error(503, "SMS.0503", "Kafka is away")


def client_of(edge: MoodyEdge, clock: SteppedClock | None = None, **options) -> ProgressClient:
    options.setdefault("policy", RetryPolicy(read_timeout_s=5))
    return ProgressClient(edge.url, AuthToken.of(SECRET), clock=clock or SteppedClock(), random=lambda: 0.5, **options)


def test_a_report_is_a_put_with_the_token_an_event_id_and_the_fields_that_are_known():
    with MoodyEdge(Says(200, {"X-Request-Id": "req-1"})) as edge, client_of(edge) as client:
        acknowledged = client.report("task 1/ä", REPORT)
    (heard,) = edge.heard
    assert (heard.method, heard.path) == ("PUT", "/v3/tasks/task%201%2F%C3%A4/progress")
    assert heard.headers["X-Auth-Token"] == SECRET
    assert heard.headers["Content-Type"] == "application/json"
    assert uuid.UUID(heard.headers["Idempotency-Key"])
    assert heard.body == {
        "subtask_name": "MIGRATE_LINUX_FILE",
        "progress": 50,
        "replicatesize": 500,
        "totalsize": 1000,
        "process_trace": "half way",
    }
    assert acknowledged.event_id == heard.headers["Idempotency-Key"]
    assert (acknowledged.attempts, acknowledged.request_id) == (1, "req-1")


def test_zero_and_false_are_said_and_only_none_is_not():
    report = Report("X", 0, 0, 0, "", migrate_speed=0.0, remain_time=0, need_migration_test=False)
    assert json.loads(report.body()).keys() >= {"migrate_speed", "remain_time", "need_migration_test"}


def test_the_connection_is_reused():
    with MoodyEdge(BUSY) as edge, client_of(edge) as client:
        client.report("t", REPORT)
        client.report("t", REPORT)
    assert len({heard.connection for heard in edge.heard}) == 1
    assert len(edge.heard) == 3


def test_a_prefix_in_the_endpoint_is_kept():
    with MoodyEdge() as edge, ProgressClient(edge.url + "/sms/", AuthToken.of("t")) as client:
        client.report("t", REPORT)
    assert edge.heard[0].path == "/sms/v3/tasks/t/progress"


@pytest.mark.parametrize("task_id", [".", "..", "a?b#c"])
def test_a_task_id_never_changes_the_way(task_id):
    with MoodyEdge() as edge, client_of(edge) as client:
        client.report(task_id, REPORT)
    path = edge.heard[0].path
    assert path.startswith("/v3/tasks/")
    assert path.endswith("/progress")
    assert path.count("/") == 4
    assert "?" not in path


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_may_pass_is_tried_again_with_the_same_event_id(status):
    with MoodyEdge(Says(status), Says(status)) as edge, client_of(edge) as client:
        acknowledged = client.report("t", REPORT)
    assert acknowledged.attempts == 3
    assert len({heard.headers["Idempotency-Key"] for heard in edge.heard}) == 1
    assert len({json.dumps(heard.body) for heard in edge.heard}) == 1


def test_two_reports_have_two_event_ids():
    with MoodyEdge() as edge, client_of(edge) as client:
        assert client.report("t", REPORT).event_id != client.report("t", REPORT).event_id


def test_a_connection_that_is_closed_without_an_answer_is_tried_again():
    with MoodyEdge(Says(hang_up=True)) as edge, client_of(edge) as client:
        assert client.report("t", REPORT).attempts == 2


def test_an_answer_that_does_not_come_in_time_is_tried_again():
    never = threading.Event()
    policy = RetryPolicy(read_timeout_s=0.1)
    with MoodyEdge(Says(wait=never)) as edge, client_of(edge, policy=policy) as client:
        acknowledged = client.report("t", REPORT)
        never.set()
    assert acknowledged.attempts == 2
    assert len({heard.headers["Idempotency-Key"] for heard in edge.heard}) == 1


def test_nobody_listening_is_tried_until_the_deadline_and_named():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        clock = SteppedClock()
        with (
            ProgressClient(endpoint, AuthToken.of(SECRET), clock=clock, random=lambda: 0.5) as client,
            pytest.raises(EdgeUnavailable, match="Connection refused") as caught,
        ):
            client.report("t", REPORT, deadline_s=5)
    assert endpoint in str(caught.value)
    assert caught.value.attempts > 3
    assert caught.value.status is None
    assert sum(clock.slept_s) < 5


def test_backoff_doubles_up_to_its_bound_and_is_jittered():
    policy = RetryPolicy(backoff_first_s=0.2, backoff_most_s=1.0)
    assert [policy.wait_s(attempt, None, lambda: 0.5) for attempt in (1, 2, 3, 4, 5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    assert policy.wait_s(3, None, lambda: 0.0) == 0.0
    assert policy.wait_s(10_000, None, lambda: 0.9) == pytest.approx(0.9)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_waited_for_and_never_cut_short(status):
    clock = SteppedClock()
    with MoodyEdge(Says(status, {"Retry-After": "7"})) as edge, client_of(edge, clock) as client:
        client.report("t", REPORT)
    assert len(clock.slept_s) == 1
    assert 7 <= clock.slept_s[0] <= 8


def test_retry_after_as_a_date_is_waited_for():
    clock = SteppedClock()
    when = formatdate(clock.now_s + 12, usegmt=True)
    with MoodyEdge(Says(503, {"Retry-After": when})) as edge, client_of(edge, clock) as client:
        client.report("t", REPORT)
    assert 12 <= clock.slept_s[0] <= 14


@pytest.mark.parametrize(
    "header, seconds",
    [
        (None, None),
        ("0", 0.0),
        (" 30 ", 30.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:01:40", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 40, None),
        ("", None),
    ],
)
def test_retry_after_is_read_or_ignored(header, seconds):
    assert retry_after_s(header, now=10.0) == seconds


def test_a_retry_after_beyond_the_deadline_ends_at_once_and_is_handed_on():
    clock = SteppedClock()
    with (
        MoodyEdge(error(503, "SMS.0503", "later", **{"Retry-After": "3600"})) as edge,
        client_of(edge, clock) as client,
        pytest.raises(EdgeUnavailable, match=r"503 SMS\.0503 later \(request req-7\)") as caught,
    ):
        client.report("t", REPORT, deadline_s=60)
    assert clock.slept_s == []
    assert (caught.value.retry_after_s, caught.value.attempts) == (3600.0, 1)


def test_the_deadline_bounds_the_retries():
    clock = SteppedClock()
    begin = clock.now_s
    with MoodyEdge(always=BUSY) as edge, client_of(edge, clock) as client, pytest.raises(EdgeUnavailable) as caught:
        client.report("t", REPORT, deadline_s=10)
    assert clock.now_s - begin < 10
    assert caught.value.attempts == len(edge.heard) > 3
    assert caught.value.error_code == "SMS.0503"


@pytest.mark.parametrize("status", [301, 400, 404, 409, 413, 422, 500])
def test_what_is_final_is_not_tried_again_and_names_the_edges_words(status):
    refusal = error(status, "SMS.0400", "progress is 101: give 0 to 100", Location="/elsewhere")
    with MoodyEdge(refusal) as edge, client_of(edge) as client, pytest.raises(RequestRefused) as caught:
        client.report("t", REPORT)
    assert len(edge.heard) == 1
    assert caught.value.status == status
    assert caught.value.error_code == "SMS.0400"
    assert caught.value.error_msg == "progress is 101: give 0 to 100"
    assert caught.value.request_id == "req-7"
    for word in (str(status), "SMS.0400", "progress is 101", "req-7", "/v3/tasks/t/progress"):
        assert word in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_caller_has_a_type_of_its_own(status):
    with (
        MoodyEdge(error(status, "APIGW.0301", "bad token")) as edge,
        client_of(edge) as client,
        pytest.raises(CallerRefused, match=r"APIGW\.0301"),
    ):
        client.report("t", REPORT)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff", b'"text"'])
def test_an_error_without_the_apis_form_is_still_a_refusal(body):
    with MoodyEdge(Says(400, {}, body)) as edge, client_of(edge) as client, pytest.raises(RequestRefused) as caught:
        client.report("t", REPORT)
    assert (caught.value.error_code, caught.value.request_id) == ("", "")


def test_a_refusal_after_retries_says_how_many_attempts_there_were():
    with MoodyEdge(BUSY, error(400, "c", "m")) as edge, client_of(edge) as client, pytest.raises(EdgeError) as caught:
        client.report("t", REPORT)
    assert caught.value.attempts == 2


def test_a_report_whose_deadline_has_passed_can_go_on_under_its_event_id():
    with MoodyEdge(always=BUSY) as edge, client_of(edge) as client, pytest.raises(EdgeUnavailable):
        client.report("t", REPORT, deadline_s=1, event_id="e-1")
    assert {heard.headers["Idempotency-Key"] for heard in edge.heard} == {"e-1"}


def test_a_task_is_read_back():
    task = {"id": "t", "sub_tasks": [{"name": "MIGRATE_LINUX_FILE"}]}
    with MoodyEdge(BUSY, Says(200, {}, json.dumps(task).encode())) as edge, client_of(edge) as client:
        assert client.show_task("t") == task
    assert (edge.heard[1].method, edge.heard[1].path) == ("GET", "/v3/tasks/t")
    assert edge.heard[1].headers["X-Auth-Token"] == SECRET


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
def test_an_answer_that_is_no_task_is_named(body):
    with MoodyEdge(Says(200, {}, body)) as edge, client_of(edge) as client, pytest.raises(AnswerUnreadable):
        client.show_task("t")


def test_a_token_file_is_read_anew_for_each_request(tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")
    with MoodyEdge() as edge, ProgressClient(edge.url, AuthToken.in_file(file)) as client:
        client.report("t", REPORT)
        file.write_text("second\n")
        client.report("t", REPORT)
    assert [heard.headers["X-Auth-Token"] for heard in edge.heard] == ["first", "second"]


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"two words-x", b"line\r\nX-Evil: secret", b"\xff\xfe", b"a" * 16_385]
)
def test_what_cannot_be_a_token_is_refused_without_showing_it(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(TokenUnusable, match=str(file)) as caught:
        AuthToken.in_file(file).read()
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(word in shown for word in ("two words-x", "X-Evil", "aaaa", r"\xff"))


def test_a_missing_token_file_is_named(tmp_path):
    with pytest.raises(TokenUnusable, match=r"missing.*No such file"):
        AuthToken.in_file(tmp_path / "missing").read()


def test_the_token_shows_in_no_repr_log_or_error(caplog):
    caplog.set_level(logging.DEBUG)
    echo = error(401, SECRET, f"token {SECRET} is unknown")
    busy = error(503, SECRET, f"token {SECRET} is unknown")
    with MoodyEdge(Says(hang_up=True), echo, always=busy) as edge, client_of(edge) as client:
        shown = repr(client)
        for kind in (CallerRefused, EdgeUnavailable):
            with pytest.raises(kind) as caught:
                client.report("t", REPORT)
            shown += "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert "req-7" in shown
    assert SECRET not in shown + caplog.text


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:80", "ftp://x", "http://", "http://h/?a=b", "http://u:p@h"])
def test_an_endpoint_that_is_none_is_refused(endpoint):
    with pytest.raises(ValueError, match="endpoint"):
        ProgressClient(endpoint, AuthToken.of("t"))


def test_a_server_that_speaks_no_http_is_unavailable():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble():
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        threading.Thread(target=babble, daemon=True).start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        policy = RetryPolicy(backoff_first_s=10, backoff_most_s=10)
        with (
            ProgressClient(
                endpoint, AuthToken.of(SECRET), clock=SteppedClock(), policy=policy, random=lambda: 0.9
            ) as client,
            pytest.raises(EdgeUnavailable),
        ):
            client.report("t", REPORT, deadline_s=10)

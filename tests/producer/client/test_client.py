"""The client against a real server that misbehaves. The clock is simulated, so no test waits."""

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
from tests.private_files import write_private
from tests.producer.client.scripted_edge import ScriptedEdge, ScriptedResponse, error

SECRET = "gAAAA-secret-token"
REPORT = Report("MIGRATE_LINUX_FILE", 50, 500, 1000, "half way")
BUSY = error(503, "SMS.0503", "Kafka is away")


def client_of(edge: ScriptedEdge, clock: SteppedClock | None = None, **options) -> ProgressClient:
    options.setdefault("policy", RetryPolicy(read_timeout_s=60))
    return ProgressClient(edge.url, AuthToken.of(SECRET), clock=clock or SteppedClock(), random=lambda: 0.5, **options)


def test_a_report_is_a_put_with_the_token_an_event_id_and_the_fields_that_are_not_none():
    with ScriptedEdge(ScriptedResponse(200, {"X-Request-Id": "req-1"})) as edge, client_of(edge) as client:
        acknowledged = client.report("task 1/ä", REPORT)
    (request,) = edge.requests
    assert (request.method, request.path) == ("PUT", "/v3/tasks/task%201%2F%C3%A4/progress")
    assert request.headers["X-Auth-Token"] == SECRET
    assert request.headers["Content-Type"] == "application/json"
    assert uuid.UUID(request.headers["Idempotency-Key"])
    assert request.body == {
        "subtask_name": "MIGRATE_LINUX_FILE",
        "progress": 50,
        "replicatesize": 500,
        "totalsize": 1000,
        "process_trace": "half way",
    }
    assert acknowledged.event_id == request.headers["Idempotency-Key"]
    assert (acknowledged.attempts, acknowledged.request_id) == (1, "req-1")


def test_zero_and_false_are_sent_and_only_none_is_not():
    report = Report("X", 0, 0, 0, "", migrate_speed=0.0, remain_time=0, need_migration_test=False)
    assert json.loads(report.body()).keys() >= {"migrate_speed", "remain_time", "need_migration_test"}


def test_the_connection_is_reused():
    with ScriptedEdge(BUSY) as edge, client_of(edge) as client:
        client.report("t", REPORT)
        client.report("t", REPORT)
    assert len({request.connection for request in edge.requests}) == 1
    assert len(edge.requests) == 3


def test_a_prefix_in_the_endpoint_is_kept():
    with ScriptedEdge() as edge, ProgressClient(edge.url + "/sms/", AuthToken.of("t")) as client:
        client.report("t", REPORT)
    assert edge.requests[0].path == "/sms/v3/tasks/t/progress"


@pytest.mark.parametrize("task_id", [".", "..", "a?b#c"])
def test_a_task_id_is_always_one_path_segment(task_id):
    with ScriptedEdge() as edge, client_of(edge) as client:
        client.report(task_id, REPORT)
    path = edge.requests[0].path
    assert path.startswith("/v3/tasks/")
    assert path.endswith("/progress")
    assert path.count("/") == 4
    assert "?" not in path


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_retriable_status_is_retried_with_the_same_event_id(status):
    with ScriptedEdge(ScriptedResponse(status), ScriptedResponse(status)) as edge, client_of(edge) as client:
        acknowledged = client.report("t", REPORT)
    assert acknowledged.attempts == 3
    assert len({request.headers["Idempotency-Key"] for request in edge.requests}) == 1
    assert len({json.dumps(request.body) for request in edge.requests}) == 1


def test_two_reports_have_two_event_ids():
    with ScriptedEdge() as edge, client_of(edge) as client:
        assert client.report("t", REPORT).event_id != client.report("t", REPORT).event_id


def test_a_connection_closed_without_a_response_is_retried():
    with ScriptedEdge(ScriptedResponse(hang_up=True)) as edge, client_of(edge) as client:
        assert client.report("t", REPORT).attempts == 2


def test_a_read_timeout_is_retried():
    never = threading.Event()
    policy = RetryPolicy(read_timeout_s=0.1)
    with ScriptedEdge(ScriptedResponse(wait=never)) as edge, client_of(edge, policy=policy) as client:
        acknowledged = client.report("t", REPORT)
        never.set()
    assert acknowledged.attempts >= 2  # more, where the answer to the second took longer
    assert len({request.headers["Idempotency-Key"] for request in edge.requests}) == 1


def test_a_refused_connection_is_retried_until_the_deadline_and_named():
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
    with ScriptedEdge(ScriptedResponse(status, {"Retry-After": "7"})) as edge, client_of(edge, clock) as client:
        client.report("t", REPORT)
    assert len(clock.slept_s) == 1
    assert 7 <= clock.slept_s[0] <= 8


def test_retry_after_as_a_date_is_waited_for():
    clock = SteppedClock()
    when = formatdate(clock.now_s + 12, usegmt=True)
    with ScriptedEdge(ScriptedResponse(503, {"Retry-After": when})) as edge, client_of(edge, clock) as client:
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


def test_a_retry_after_beyond_the_deadline_ends_at_once_and_is_in_the_error():
    clock = SteppedClock()
    with (
        ScriptedEdge(error(503, "SMS.0503", "later", **{"Retry-After": "3600"})) as edge,
        client_of(edge, clock) as client,
        pytest.raises(EdgeUnavailable, match=r"503 SMS\.0503 later \(request req-7\)") as caught,
    ):
        client.report("t", REPORT, deadline_s=60)
    assert clock.slept_s == []
    assert (caught.value.retry_after_s, caught.value.attempts) == (3600.0, 1)


def test_the_deadline_bounds_the_retries():
    clock = SteppedClock()
    begin = clock.now_s
    with ScriptedEdge(always=BUSY) as edge, client_of(edge, clock) as client, pytest.raises(EdgeUnavailable) as caught:
        client.report("t", REPORT, deadline_s=10)
    assert clock.now_s - begin < 10
    assert caught.value.attempts == len(edge.requests) > 3
    assert caught.value.error_code == "SMS.0503"


@pytest.mark.parametrize("status", [301, 400, 404, 409, 413, 422, 500])
def test_a_final_response_is_not_retried_and_its_message_is_in_the_error(status):
    refusal = error(status, "SMS.0400", "progress is 101: give 0 to 100", Location="/elsewhere")
    with ScriptedEdge(refusal) as edge, client_of(edge) as client, pytest.raises(RequestRefused) as caught:
        client.report("t", REPORT)
    assert len(edge.requests) == 1
    assert caught.value.status == status
    assert caught.value.error_code == "SMS.0400"
    assert caught.value.error_msg == "progress is 101: give 0 to 100"
    assert caught.value.request_id == "req-7"
    for word in (str(status), "SMS.0400", "progress is 101", "req-7", "/v3/tasks/t/progress"):
        assert word in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_raises_caller_refused(status):
    with (
        ScriptedEdge(error(status, "APIGW.0301", "bad token")) as edge,
        client_of(edge) as client,
        pytest.raises(CallerRefused, match=r"APIGW\.0301"),
    ):
        client.report("t", REPORT)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff", b'"text"'])
def test_a_final_response_without_the_apis_error_form_is_a_refusal(body):
    with (
        ScriptedEdge(ScriptedResponse(400, {}, body)) as edge,
        client_of(edge) as client,
        pytest.raises(RequestRefused) as caught,
    ):
        client.report("t", REPORT)
    assert (caught.value.error_code, caught.value.request_id) == ("", "")


def test_a_refusal_after_retries_counts_the_attempts():
    with (
        ScriptedEdge(BUSY, error(400, "c", "m")) as edge,
        client_of(edge) as client,
        pytest.raises(EdgeError) as caught,
    ):
        client.report("t", REPORT)
    assert caught.value.attempts == 2


def test_a_report_can_be_resumed_with_its_event_id():
    with ScriptedEdge(always=BUSY) as edge, client_of(edge) as client, pytest.raises(EdgeUnavailable):
        client.report("t", REPORT, deadline_s=1, event_id="e-1")
    assert {request.headers["Idempotency-Key"] for request in edge.requests} == {"e-1"}


def test_a_task_is_read_back():
    task = {"id": "t", "sub_tasks": [{"name": "MIGRATE_LINUX_FILE"}]}
    with ScriptedEdge(BUSY, ScriptedResponse(200, {}, json.dumps(task).encode())) as edge, client_of(edge) as client:
        assert client.show_task("t") == task
    assert (edge.requests[1].method, edge.requests[1].path) == ("GET", "/v3/tasks/t")
    assert edge.requests[1].headers["X-Auth-Token"] == SECRET


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
def test_a_200_that_is_not_a_json_object_is_an_error(body):
    with (
        ScriptedEdge(ScriptedResponse(200, {}, body)) as edge,
        client_of(edge) as client,
        pytest.raises(AnswerUnreadable),
    ):
        client.show_task("t")


def test_a_token_file_is_read_before_each_request(tmp_path):
    file = write_private(tmp_path / "token", "first\n")
    with ScriptedEdge() as edge, ProgressClient(edge.url, AuthToken.in_file(file)) as client:
        client.report("t", REPORT)
        file.write_text("second\n")
        client.report("t", REPORT)
    assert [request.headers["X-Auth-Token"] for request in edge.requests] == ["first", "second"]


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"two words-x", b"line\r\nX-Evil: secret", b"\xff\xfe", b"a" * 16_385]
)
def test_an_invalid_token_is_refused_without_showing_it(tmp_path, content):
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(TokenUnusable, match=str(file)) as caught:
        AuthToken.in_file(file).read()
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(word in shown for word in ("two words-x", "X-Evil", "aaaa", r"\xff"))


def test_a_missing_token_file_is_named(tmp_path):
    with pytest.raises(TokenUnusable, match=r"missing.*No such file"):
        AuthToken.in_file(tmp_path / "missing").read()


def test_no_repr_log_or_error_shows_the_token(caplog):
    caplog.set_level(logging.DEBUG)
    echo = error(401, SECRET, f"token {SECRET} is unknown")
    busy = error(503, SECRET, f"token {SECRET} is unknown")
    with ScriptedEdge(ScriptedResponse(hang_up=True), echo, always=busy) as edge, client_of(edge) as client:
        shown = repr(client)
        for kind in (CallerRefused, EdgeUnavailable):
            with pytest.raises(kind) as caught:
                client.report("t", REPORT)
            shown += "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert "req-7" in shown
    assert SECRET not in shown + caplog.text


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:80", "ftp://x", "http://", "http://h/?a=b", "http://u:p@h"])
def test_an_invalid_endpoint_is_refused(endpoint):
    with pytest.raises(ValueError, match="endpoint"):
        ProgressClient(endpoint, AuthToken.of("t"))


def test_a_server_that_does_not_speak_http_is_unavailable():
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

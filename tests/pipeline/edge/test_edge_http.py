"""What the edge answers to requests of every shape, on a real connection."""

from __future__ import annotations

import gzip
import json
import socket
import time

import pytest

from tests.producer.edges import REPORT, RunningEdge

BODY = json.dumps(REPORT).encode()


def speak(edge: RunningEdge, *pieces: bytes, pause_s: float = 0.0) -> tuple[int, dict[str, str], bytes]:
    """Send the pieces on a fresh connection; give status, headers and body of the one answer."""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=120) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause_s)
        return answer_from(connection)


def answer_from(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    stream = connection.makefile("rb")
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, stream.read(int(headers.get("content-length", 0)))


def head(edge: RunningEdge, *lines: str, path: str = "/v3/tasks/t-1/progress", method: str = "PUT") -> bytes:
    fixed = [f"{method} {path} HTTP/1.1", "Host: edge", f"X-Auth-Token: {edge.token}", *lines]
    return "\r\n".join([*fixed, "", ""]).encode()


def told(answer) -> tuple[int, str]:
    return answer.status, answer.json()["error_code"]


def test_success_has_no_body_and_a_receipt(edge):
    answer = edge.put()
    assert (answer.status, answer.data, answer.headers["Content-Length"]) == (200, b"", "0")
    assert {"X-Event-Id", "X-Partition", "X-Offset", "X-Request-Id"} <= {name.title() for name in answer.headers}


def test_an_error_has_the_members_of_the_api_and_of_rfc_9457(edge):
    answer = edge.put(body={})
    assert set(answer.json()) == {
        "error_code", "error_msg", "type", "title", "status", "detail", "instance", "retriable", "errors",
    }  # fmt: skip
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["retriable"] is False
    assert answer.json()["instance"].endswith(answer.headers["X-Request-Id"])


def test_the_callers_request_id_comes_back(edge):
    assert edge.put(X_Request_Id="mine-1").headers["X-Request-Id"] == "mine-1"
    assert edge.put(body=b"", X_Request_Id="mine-2").headers["X-Request-Id"] == "mine-2"


def test_the_callers_request_id_names_the_event_too(edge):
    ids = {edge.put(X_Request_Id="mine-3").headers["X-Event-Id"] for _ in range(2)}
    assert len(ids) == 1


def test_a_request_id_that_could_break_a_log_is_replaced(edge):
    assert edge.put(X_Request_Id="x" * 129).headers["X-Request-Id"] != "x" * 129


@pytest.mark.parametrize("length, status", [(0, 200), (1, 200), (255, 200), (256, 400)])
def test_a_task_id_has_up_to_255_characters(edge, length, status):
    assert edge.put("%C3%A9" * length).status == status


@pytest.mark.parametrize("task_id", ["a%00b", "a%0Ab", "%7F", "%ff"])
def test_a_task_id_has_no_control_characters_and_is_utf8(edge, task_id):
    assert told(edge.put(task_id)) == (400, "APIGW.0201")


def test_a_task_id_may_hold_a_slash_if_it_is_encoded(edge):
    assert edge.put("a%2Fb").status == 200
    assert told(edge.put("a/b")) == (404, "TASKSTREAM.0404")


def test_a_token_has_1_to_16384_characters(edge):
    assert told(edge.put(X_Auth_Token="")) == (401, "APIGW.0301")
    assert told(edge.put(X_Auth_Token="x" * 16_384)) == (401, "APIGW.0301")
    assert told(edge.put(X_Auth_Token="x" * 16_385)) == (431, "TASKSTREAM.0431")


def test_no_token_is_401(edge):
    assert speak(edge, b"PUT /v3/tasks/t/progress HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")[0] == 401


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "json", ""]
)
def test_another_content_type_than_json_is_415(edge, content_type):
    assert told(edge.put(Content_Type=content_type)) == (415, "TASKSTREAM.0415")


def test_without_a_content_type_a_body_counts_as_json(edge):
    assert speak(edge, head(edge, f"Content-Length: {len(BODY)}"), BODY)[0] == 200


def test_other_methods_are_405_and_told_which_is_right(edge):
    answer = edge.get("/v3/tasks/t-1/progress")
    assert told(answer) == (405, "TASKSTREAM.0405")
    assert answer.headers["Allow"] == "PUT"
    answer = edge.http.request("DELETE", edge.url + "/healthz")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_other_addresses_are_404(edge):
    assert told(edge.get("/v3/tasks/progress")) == (404, "TASKSTREAM.0404")
    assert told(edge.get("/")) == (404, "TASKSTREAM.0404")


def test_a_declared_length_past_the_bound_is_413_before_the_body_is_read(edge):
    for length in (65_537, 10_000_000_000_000_000_000):
        status, headers, _ = speak(edge, head(edge, f"Content-Length: {length}"))
        assert (status, headers["connection"]) == (413, "close")


def test_a_chunked_body_needs_no_length(edge):
    chunk = b"%x\r\n%s\r\n" % (len(BODY), BODY)
    assert speak(edge, head(edge, "Transfer-Encoding: chunked"), chunk, b"0\r\n\r\n", pause_s=0.05)[0] == 200


def test_a_chunked_body_past_the_bound_is_413(edge):
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    status, headers, _ = speak(edge, head(edge, "Transfer-Encoding: chunked"), chunk, b"1\r\nx\r\n")
    assert (status, headers["connection"]) == (413, "close")


def test_who_still_sends_can_read_why_it_was_refused(edge):
    with socket.create_connection(("127.0.0.1", edge.port), timeout=120) as connection:
        connection.sendall(head(edge, "Content-Length: 8000000"))
        for _ in range(80):
            connection.sendall(b" " * 100_000)
        assert answer_from(connection)[0] == 413


def test_headers_past_the_bound_are_431(edge):
    status, _, body = speak(edge, head(edge, "X-Filler: " + "x" * 40_000, "Content-Length: 0"))
    assert (status, json.loads(body)["error_code"]) == (431, "TASKSTREAM.0431")


def test_headers_without_an_end_are_431(edge):
    status, _, _ = speak(edge, b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20_000, b"x" * 20_000, pause_s=0.1)
    assert status == 431


def test_many_small_headers_are_431_too(edge):
    lines = [f"X-{number}: x" for number in range(5_000)]
    assert speak(edge, head(edge, *lines, "Content-Length: 0"))[0] == 431


@pytest.mark.parametrize(
    "start",
    [b"PUT /v3/tasks/t/progress HT", b"PUT /v3/tasks/t/progress HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"],
)
def test_a_request_that_does_not_arrive_is_408(edge, start):
    status, headers, body = speak(edge, start)
    assert (status, json.loads(body)["error_code"]) == (408, "TASKSTREAM.0408")
    assert json.loads(body)["retriable"] is True
    assert headers["connection"] == "close"


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_http_is_400_in_the_form_of_the_api(edge, garbage):
    status, _, body = speak(edge, garbage)
    assert (status, json.loads(body)["error_code"]) == (400, "APIGW.0201")


def test_a_length_and_chunks_together_are_refused(edge):
    status, _, _ = speak(edge, head(edge, "Content-Length: 5", "Transfer-Encoding: chunked"), b"0\r\n\r\n")
    assert status == 400


def test_requests_in_a_row_on_one_connection_are_answered_in_their_order(edge):
    one = head(edge, f"Content-Length: {len(BODY)}") + BODY
    with socket.create_connection(("127.0.0.1", edge.port), timeout=120) as connection:
        connection.sendall(one * 5)
        seen = b""
        while seen.count(b"HTTP/1.1 200") < 5:
            piece = connection.recv(65536)
            assert piece
            seen += piece


def test_a_gzip_body_is_taken_and_bounded_after_inflation(edge):
    assert edge.put(body=gzip.compress(BODY), Content_Encoding="gzip").status == 200
    assert told(edge.put(body=gzip.compress(b" " * 70_000), Content_Encoding="gzip")) == (413, "TASKSTREAM.0413")
    assert told(edge.put(body=b"{}", Content_Encoding="gzip")) == (400, "APIGW.0201")
    assert told(edge.put(body=b"{}", Content_Encoding="br")) == (415, "TASKSTREAM.0415")


def test_validate_shows_the_event_and_produces_nothing(edge):
    answer = edge.put("t-9", {**REPORT, "new": 1}, "?validate=true", Idempotency_Key="k")
    document = answer.json()
    assert answer.status == 200
    assert "X-Offset" not in answer.headers
    assert document["event"]["task_id"] == "t-9"
    assert document["event"]["replicatesize"] == REPORT["replicatesize"]
    assert (document["key"], document["unknown_fields"]) == ("project-1/t-9", ["new"])
    assert document["headers"]["ce_id"] == document["event"]["event_id"]


def test_validate_refuses_what_would_be_refused(edge):
    assert told(edge.put("t-9", {**REPORT, "progress": 101}, "?validate=true")) == (400, "TASKSTREAM.0400")
    assert told(edge.put("t-9", query="?validate=maybe")) == (400, "APIGW.0201")


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é"])
def test_an_idempotency_key_has_1_to_255_visible_characters(edge, key):
    assert told(edge.put(Idempotency_Key=key)) == (400, "APIGW.0201")


def test_health_readiness_and_metrics_need_no_token(edge):
    assert edge.get("/healthz").json() == {"status": "alive"}
    assert edge.get("/readyz").json() == {
        "status": "ready",
        "checks": {"draining": "no", "kafka": "ok", "topic": "ok", "clock": "ok"},
    }
    assert "taskstream_edge_acknowledged_total" in edge.get("/metrics").data.decode()
    assert edge.http.request("HEAD", edge.url + "/healthz").data == b""


def test_unknown_fields_and_refusals_are_counted(edge):
    edge.put(body={**REPORT, "brand_new": 1})
    edge.put(body={})
    metrics = edge.get("/metrics").data.decode()
    assert 'taskstream_edge_refused_total{code="TASKSTREAM.0400",status="400",worker="0"}' in metrics
    unknown = next(line for line in metrics.splitlines() if line.startswith("taskstream_edge_unknown_fields_total{"))
    assert float(unknown.rpartition(" ")[2]) >= 1


def test_no_token_stands_in_the_log_or_the_metrics(edge):
    edge.put(X_Auth_Token="sesame-open")
    edge.put(Authorization="SDK-HMAC-SHA256 Access=ak, SignedHeaders=host, Signature=sesame-open")
    seen = edge.log.read_text() + edge.get("/metrics").data.decode()
    assert "sesame-open" not in seen
    assert edge.token not in seen
    assert "refused" in seen


def test_who_waits_for_leave_to_send_a_body_gets_it(edge):
    with socket.create_connection(("127.0.0.1", edge.port), timeout=120) as connection:
        connection.sendall(head(edge, f"Content-Length: {len(BODY)}", "Expect: 100-continue"))
        assert connection.makefile("rb").readline() == b"HTTP/1.1 100 Continue\r\n"
        connection.sendall(BODY)
        seen = b""
        while b"HTTP/1.1 200 OK\r\n" not in seen:
            piece = connection.recv(65536)
            assert piece
            seen += piece


def test_who_waits_for_leave_to_send_too_much_is_told_before(edge):
    status, _, _ = speak(edge, head(edge, "Content-Length: 100000", "Expect: 100-continue"))
    assert status == 413

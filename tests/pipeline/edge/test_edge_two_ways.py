"""A plain report takes a short way past the application; whatever it is, both ways answer the same."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.producer.edges import REPORT, RunningEdge
from tests.waiting import LIMIT_S

VARYING = {"date", "x-event-id", "x-offset", "x-partition", "x-request-id"}


def both(edge: RunningEdge, task_id: str = "t-1", body=REPORT, **headers: str):
    """The answers of the short way and of the ordinary one, which a Content-Encoding asks for."""
    return edge.put(task_id, body, **headers), edge.put(task_id, body, Content_Encoding="identity", **headers)


class Repeating:
    """One connection, whose requests have the same head, in one piece or with the body behind it."""

    def __init__(self, edge: RunningEdge) -> None:
        self._edge = edge
        self._connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=LIMIT_S)
        self._connection.connect()

    def put(self, body=REPORT, task_id="t-1", in_two=False, **headers: str):
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"X-Auth-Token": self._edge.token, "Content-Type": "application/json", **sent}
        lines = [f"PUT /v3/tasks/{task_id}/progress HTTP/1.1", f"Host: 127.0.0.1:{self._edge.port}"]
        lines += [f"{name}: {value}" for name, value in sent.items()]
        head = "\r\n".join([*lines, f"Content-Length: {len(encoded)}", "", ""]).encode()
        for piece in (head, encoded) if in_two else (head + encoded,):
            self._connection.sock.sendall(piece)
        answer = http.client.HTTPResponse(self._connection.sock, method="PUT")
        answer.begin()
        answer.data = answer.read()
        return answer


def shape(answer) -> tuple:
    """All of an answer but what is another in every one."""
    fixed = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in VARYING}
    body = json.loads(answer.data) if answer.data else {}
    body.pop("instance", None)
    return answer.status, {name.lower() for name in answer.headers}, fixed, body


@pytest.mark.parametrize(
    "body",
    [REPORT, {**REPORT, "new": 1}, {}, [], {**REPORT, "progress": 101}, b"", b"{", b"\xff", b'{"progress": NaN}', b"[" * 9_999],
    ids=["good", "unknown field", "empty object", "list", "out of bounds", "nothing", "cut", "not UTF-8", "NaN", "deep"],
)  # fmt: skip
def test_a_body_is_answered_the_same(edge, body):
    short, ordinary = both(edge, body=body)
    assert shape(short) == shape(ordinary)


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Request_Id": "mine"},
        {"X_Request_Id": "x" * 129},
        {"Idempotency_Key": "k"},
        {"Idempotency_Key": "x" * 256},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/json; charset=utf-16"},
        {"X_Auth_Token": "wrong"},
        {"X_Auth_Token": ""},
        {"X_Auth_Token": "x" * 16_385},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"Connection": "close"},
    ],
    ids=lambda headers: " ".join(f"{name} {value[:20]}" for name, value in headers.items()),
)
def test_headers_are_answered_the_same(edge, headers):
    short, ordinary = both(edge, **headers)
    assert shape(short) == shape(ordinary)


@pytest.mark.parametrize("in_two", [False, True])
def test_a_repeated_head_is_answered_the_same(edge, in_two):
    wire = Repeating(edge)
    for body in (REPORT, REPORT, {**REPORT, "progress": 101}, {**REPORT, "process_trace": "longer"}, b"", b"{"):
        assert shape(wire.put(body, in_two=in_two)) == shape(both(edge, body=body)[1])


def test_each_request_with_a_repeated_head_is_its_own(edge):
    wire = Repeating(edge)
    answers = [wire.put(), wire.put(), wire.put(b"{"), wire.put(b"[")]
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 4
    assert len({answer.headers["X-Event-Id"] for answer in answers[:2]}) == 2
    ids = [wire.put(Idempotency_Key=key).headers["X-Event-Id"] for key in ("a", "a", "b", "c", "a")]
    again = [edge.put(Idempotency_Key=key, Content_Encoding="identity").headers["X-Event-Id"] for key in "abc"]
    assert ids == [again[0], again[0], again[1], again[2], again[0]]
    asked = [wire.put(X_Request_Id=name).headers["X-Request-Id"] for name in ("one", "one", "two")]
    assert asked == ["one", "one", "two"]


def test_a_key_that_comes_with_another_report_is_refused_when_the_head_is_repeated(edge):
    wire = Repeating(edge)
    assert wire.put(Idempotency_Key="again").status == 200
    assert wire.put({**REPORT, "progress": 77}, Idempotency_Key="again").status == 422


@pytest.mark.parametrize("task_id", ["", "%C3%A9", "a%2Fb", "%ff", "%00", "x" * 256, "a;b=c", "a/b", "a#b"])
def test_a_task_id_is_answered_the_same(edge, task_id):
    short, ordinary = both(edge, task_id)
    assert shape(short) == shape(ordinary)


def test_the_same_key_names_the_same_event_on_both_ways(edge):
    short, ordinary = both(edge, "t-ways", Idempotency_Key="ways")
    assert short.headers["X-Event-Id"] == ordinary.headers["X-Event-Id"]

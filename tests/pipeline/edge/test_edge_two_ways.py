"""A plain report takes a short way past the application; whatever it is, both ways answer the same."""

from __future__ import annotations

import json

import pytest

from tests.producer.edges import REPORT, RunningEdge

VARYING = {"date", "x-event-id", "x-offset", "x-partition", "x-request-id"}


def both(edge: RunningEdge, task_id: str = "t-1", body=REPORT, **headers: str):
    """The answers of the short way and of the ordinary one, which a Content-Encoding asks for."""
    return edge.put(task_id, body, **headers), edge.put(task_id, body, Content_Encoding="identity", **headers)


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


@pytest.mark.parametrize("task_id", ["", "%C3%A9", "a%2Fb", "%ff", "%00", "x" * 256, "a;b=c", "a/b", "a#b"])
def test_a_task_id_is_answered_the_same(edge, task_id):
    short, ordinary = both(edge, task_id)
    assert shape(short) == shape(ordinary)


def test_the_same_key_names_the_same_event_on_both_ways(edge):
    short, ordinary = both(edge, "t-ways", Idempotency_Key="ways")
    assert short.headers["X-Event-Id"] == ordinary.headers["X-Event-Id"]

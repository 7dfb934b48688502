"""What a project may send: reports, bytes and tasks. Whatever is refused counts; an answer is never a multiple of it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator

import pytest

from taskstream.producer.admission.admission import UNVERIFIED_BODIES
from tests.pipeline.edge.test_edge_batch import post, report
from tests.producer.edges import REPORT, RunningEdge, running_edge

TASKS = 5
BURST = 20
NEVER = ("--rate", "0.0001", "--burst", str(BURST))
"""A rate at which a bucket does not refill during a test."""


@pytest.fixture(scope="module")
def limited(broker, edge_topics, tmp_path_factory) -> Iterator[RunningEdge]:
    """With few tasks."""
    folder = tmp_path_factory.mktemp("limited")
    options = ("--tasks-per-project", str(TASKS), "--request-timeout", "120")
    with running_edge(broker, edge_topics.prefix, folder, *options) as edge:
        for number in range(TASKS):
            assert edge.put(f"known-{number}").status == 200
        yield edge


@pytest.fixture
def scarce(broker, edge_topics, tmp_path) -> Iterator[RunningEdge]:
    """With few reports, and fewer tasks."""
    with running_edge(broker, edge_topics.prefix, tmp_path, *NEVER, "--tasks-per-project", "1") as edge:
        yield edge


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}], ids=["plain", "not plain"])
def test_a_new_task_beyond_the_limit_is_429_and_says_what_to_do(limited, headers):
    answer = limited.put("new", **headers)
    problem = answer.json()
    assert (answer.status, problem["error_code"], problem["retriable"]) == (429, "TASKSTREAM.0429", True)
    assert f"has {TASKS} live tasks" in problem["detail"]
    assert "ask the operator" in problem["detail"]
    assert int(answer.headers["Retry-After"]) > 0
    assert [limited.put(f"known-{number}", **headers).status for number in range(TASKS)] == [200] * TASKS


def test_a_batch_names_the_new_tasks_that_are_refused(limited):
    answer = post(limited, [report("known-1"), report("new"), report("known-2")])
    assert answer.status == 207
    assert [each["status"] for each in answer.json()] == [200, 429, 200]
    refused = post(limited, [report("new"), report("newer")])
    assert (refused.status, refused.json()["error_code"]) == (429, "TASKSTREAM.0429")
    assert int(refused.headers["Retry-After"]) > 0


def test_the_validation_of_a_new_task_counts_no_task(limited):
    assert limited.put("new", query="?validate=true").status == 200


def refused_by_then(edge: RunningEdge) -> bool:
    """Whether the burst is used up."""
    return edge.put("known").json()["error_code"] == "APIGW.0308"


def test_what_is_refused_for_its_task_counts(scarce):
    assert scarce.put("known").status == 200
    codes = [scarce.put(f"new-{number}").json()["error_code"] for number in range(BURST - 1)]
    assert set(codes) == {"TASKSTREAM.0429"}
    assert refused_by_then(scarce)


def test_what_is_only_validated_counts(scarce):
    for _ in range(BURST):
        assert scarce.put("known", query="?validate=true").status == 200
    assert refused_by_then(scarce)


def test_a_report_counts_by_its_bytes_after_inflation(scarce):
    body = gzip.compress(json.dumps({**REPORT, "unknown": "x" * 4_096 * (BURST // 2)}).encode())
    assert len(body) < 1_000
    assert [scarce.put("known", body, Content_Encoding="gzip").status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    "body, headers, status",
    [
        (b"x" * 4_096 * BURST, {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(bytes(2_000_000)), {"Content-Encoding": "gzip"}, 413),
        (b"x" * 4_096 * BURST, {"Content-Type": "text/plain"}, 415),
    ],
    ids=["not gzip", "too large once inflated", "another type"],
)
def test_a_body_that_cannot_be_read_counts_by_its_bytes(scarce, body, headers, status):
    answer = post(scarce, body, **headers)
    assert (answer.status, refused_by_then(scarce)) == (status, True)


def test_a_batch_for_validation_counts(scarce):
    assert post(scarce, [report("known")] * BURST, "?validate=true").status == 200
    assert refused_by_then(scarce)


@pytest.mark.parametrize("length", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_a_large_body_of_an_unknown_caller_is_refused_before_it_is_read(limited, length):
    async def asked() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", limited.port)
        writer.write(f"POST /v3/progress HTTP/1.1\r\nHost: e\r\nX-Auth-Token: wrong\r\n{length}\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return answer

    answer = asyncio.run(asked()).lower()
    assert answer.startswith(b"http/1.1 401")
    assert b"connection: close" in answer


def test_few_large_bodies_are_read_at_once_for_the_check_of_their_signature(limited):
    more = 8
    head = b"POST /v3/progress HTTP/1.1\r\nHost: e\r\nAuthorization: any\r\nContent-Length: 1000000\r\n\r\n"

    async def asked() -> list[bytes]:
        opened = [await asyncio.open_connection("127.0.0.1", limited.port) for _ in range(UNVERIFIED_BODIES + more)]
        for _, writer in opened:
            writer.write(head)
        answers = {asyncio.ensure_future(reader.readuntil(b"\r\n")) for reader, _ in opened}
        done: set[asyncio.Future[bytes]] = set()
        while len(done) < more:
            done |= (await asyncio.wait(answers - done, return_when=asyncio.FIRST_COMPLETED))[0]
        for each in answers - done:
            each.cancel()
        for _, writer in opened:
            writer.close()
        return [each.result() for each in done]

    assert [line.split()[1] for line in asyncio.run(asked())] == [b"503"] * more


TIMES = 1_000
ONE_REQUEST_BYTES = 200
"""Of its head, about."""


@pytest.mark.parametrize(
    "lines, query",
    [
        ([json.dumps(report("known-1")), *["1"] * 999], ""),
        ([json.dumps(report("known-1")), *["{}"] * 999], ""),
        ([json.dumps(report("known-1", process_trace="x" * 700))] * 1_000, "?validate=true"),
        (
            [json.dumps(report("known-1", process_trace="é" * 450, **{"é" * 20: 1}), ensure_ascii=False)] * 900,
            "?validate=true",
        ),
    ],
    ids=["numbers", "objects", "validated", "validated, more bytes escaped"],
)
def test_the_answer_to_a_batch_is_less_than_a_thousand_times_its_request(limited, lines, query):
    body = gzip.compress("\n".join(lines).encode(), 9)
    answer = post(limited, body, query, Content_Type="application/x-ndjson", Content_Encoding="gzip")
    assert answer.status in {200, 207}
    assert len(answer.data.splitlines()) == len(lines)
    assert len(answer.data) < TIMES * (len(body) + ONE_REQUEST_BYTES)


def test_the_validation_of_a_report_names_few_of_its_unknown_fields(limited):
    body = json.dumps({**REPORT, **{f"unknown-{number:05}" + "x" * 200: 1 for number in range(250)}}).encode()
    named = limited.put("known-1", gzip.compress(body), "?validate=true", Content_Encoding="gzip").json()[
        "unknown_fields"
    ]
    assert (len(named), len(named[0])) == (20, 100)

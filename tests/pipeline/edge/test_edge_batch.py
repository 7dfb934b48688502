"""The endpoint for relays: a result a report, and a status for all of them."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

from tests.producer.edges import REPORT, RunningEdge


def post(edge: RunningEdge, body: Any, query: str = "", **headers: str):
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"X-Auth-Token": edge.token, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return edge.http.request("POST", f"{edge.url}/v3/progress{query}", body=encoded, headers=sent, retries=False)


def report(task_id: str, **changes: Any) -> dict[str, Any]:
    return {"task_id": task_id, **REPORT, **changes}


def test_a_batch_that_kafka_has_whole_is_200_with_a_receipt_each(edge):
    answer = post(edge, [report(f"t-{number}") for number in range(20)])
    assert answer.status == 200
    assert [result["number"] for result in answer.json()] == list(range(20))
    assert all(result["status"] == 200 and result["offset"] >= 0 for result in answer.json())


def test_lines_are_answered_with_lines(edge):
    lines = b"\n".join(json.dumps(report(f"t-{number}")).encode() for number in range(3)) + b"\n\n"
    answer = post(edge, lines, Content_Type="application/x-ndjson")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert [json.loads(line)["status"] for line in answer.data.splitlines()] == [200, 200, 200]


def test_partial_failure_is_207_and_told_by_line(edge):
    lines = b"\n".join([json.dumps(report("a")).encode(), b"{", json.dumps(report("b", progress=101)).encode()])
    answer = post(edge, lines, Content_Type="application/x-ndjson")
    assert answer.status == 207
    results = [json.loads(line) for line in answer.data.splitlines()]
    assert [result["status"] for result in results] == [200, 400, 400]
    assert results[1]["error_code"] == "APIGW.0201"
    assert results[2]["errors"][0]["field"] == "progress"


def test_a_batch_of_which_nothing_can_be_taken_is_400(edge):
    answer = post(edge, [report("a", progress=101), {"task_id": 5}])
    assert (answer.status, answer.json()["error_code"]) == (400, "TASKSTREAM.0400")
    assert answer.json()["errors"][0]["field"] == "[0].progress"


def test_an_idempotency_key_names_the_event_as_the_header_does(edge):
    batch = post(edge, [report("t-7", idempotency_key="k")]).json()[0]["event_id"]
    assert edge.put("t-7", Idempotency_Key="k").headers["X-Event-Id"] == batch


def test_a_key_that_came_with_another_report_is_422_in_its_result(edge):
    once = report("t-8", idempotency_key="reused")
    answer = post(edge, [once, report("t-8", idempotency_key="reused", progress=43), report("t-8"), once])
    assert answer.status == 207
    results = answer.json()
    assert [result["status"] for result in results] == [200, 422, 200, 200]
    assert results[1]["error_code"] == "TASKSTREAM.0422"
    assert results[0]["event_id"] == results[3]["event_id"] != results[2]["event_id"]
    assert edge.put("t-8", {**REPORT, "progress": 43}, Idempotency_Key="reused").status == 422
    assert post(edge, [report("t-8", idempotency_key="reused", progress=44)]).status == 422


def test_what_is_no_batch_is_400(edge):
    for body in (b"", b"{}", b"[]", b"[1", json.dumps([report("t")] * 51).encode()):
        assert post(edge, body).status == 400


def test_a_report_without_a_task_names_the_field(edge):
    answer = post(edge, [REPORT])
    assert answer.json()["errors"][0]["field"] == "[0].task_id"


def test_a_batch_may_come_in_gzip_and_be_validated_only(edge):
    body = gzip.compress(json.dumps([report("t-1"), report("t-2", progress=-1)]).encode())
    answer = post(edge, body, "?validate=true", Content_Encoding="gzip")
    assert answer.status == 207
    assert answer.json()[0]["event"]["task_id"] == "t-1"
    assert answer.json()[1]["status"] == 400


def test_a_batch_needs_a_token(edge):
    assert post(edge, [report("t")], X_Auth_Token="wrong").status == 401


def test_a_batch_is_refused_by_its_count_before_its_lines_are_parsed(edge):
    lines, used_before = [b"{"] * 500_000, cpu_s(edge)
    body = gzip.compress(b"\n".join(lines))
    answer = post(edge, body, Content_Type="application/x-ndjson", Content_Encoding="gzip")
    assert answer.status == 400
    assert "more than 50 reports" in answer.json()["detail"]
    used_s, began_s = cpu_s(edge) - used_before, time.thread_time()
    for line in lines[:50_000]:
        with contextlib.suppress(ValueError):
            json.loads(line)
    assert used_s < time.thread_time() - began_s  # less than a tenth of them costs, on the same machine


def test_an_answer_lists_the_first_problems_and_codes_of_the_others(edge):
    answer = post(edge, [report("a"), *({} for _ in range(49))])
    assert answer.status == 207
    refused = answer.json()[1:]
    assert all(each["errors"] for each in refused[:20])
    assert refused[20] == {"status": 400, "error_code": "TASKSTREAM.0400", "retriable": False, "number": 21}
    assert len(answer.data) < 100_000


def cpu_s(edge: RunningEdge) -> float:
    """Processor seconds that the edge has used."""
    stat = Path(f"/proc/{edge.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

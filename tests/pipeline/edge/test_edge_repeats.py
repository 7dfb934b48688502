"""A report that is sent again: a retry is the same event, and a key that came with another report is refused."""

from __future__ import annotations

import pytest

from tests.producer.edges import REPORT, RunningEdge

OTHER = {**REPORT, "progress": 43}
WAYS = [{}, {"Content_Encoding": "identity"}]
"""The short way, and the ordinary one, which a Content-Encoding asks for."""


@pytest.fixture(params=WAYS, ids=["short", "ordinary"])
def way(request: pytest.FixtureRequest) -> dict[str, str]:
    return request.param


def test_a_key_with_another_report_is_422_and_the_retry_is_the_same_event(edge: RunningEdge, way, topic_prefix):
    first = edge.put("r-1", Idempotency_Key=topic_prefix, **way)
    other = edge.put("r-1", OTHER, Idempotency_Key=topic_prefix, **way)
    again = edge.put("r-1", Idempotency_Key=topic_prefix, **way)
    assert (first.status, other.status, again.status) == (200, 422, 200)
    assert (other.json()["error_code"], other.json()["retriable"]) == ("TASKSTREAM.0422", False)
    assert first.headers["X-Event-Id"] == again.headers["X-Event-Id"]


def test_a_key_belongs_to_its_task(edge: RunningEdge, way, topic_prefix):
    answers = [
        edge.put(task, {**REPORT, "progress": at}, Idempotency_Key=topic_prefix, **way) for at, task in enumerate("ab")
    ]
    assert [each.status for each in answers] == [200, 200]
    assert answers[0].headers["X-Event-Id"] != answers[1].headers["X-Event-Id"]


def test_the_report_counts_and_not_its_notation(edge: RunningEdge, way, topic_prefix):
    reordered = {**dict(reversed(REPORT.items())), "of_a_newer_agent": 1}
    assert edge.put("r-2", Idempotency_Key=topic_prefix, **way).status == 200
    assert edge.put("r-2", reordered, Idempotency_Key=topic_prefix, **way).status == 200


def test_a_refused_or_validated_report_takes_no_key(edge: RunningEdge, way, topic_prefix):
    assert edge.put("r-3", {**REPORT, "progress": 101}, Idempotency_Key=topic_prefix, **way).status == 400
    assert edge.put("r-3", OTHER, "?validate=true", Idempotency_Key=topic_prefix, **way).status == 200
    assert edge.put("r-3", Idempotency_Key=topic_prefix, **way).status == 200


def test_a_request_id_names_a_retry_and_not_another_report(edge: RunningEdge, way, topic_prefix):
    first, again, other = (
        edge.put("r-4", body, X_Request_Id=topic_prefix, **way).headers["X-Event-Id"]
        for body in (REPORT, REPORT, OTHER)
    )
    assert first == again != other


def test_refused_keys_are_counted(edge: RunningEdge, topic_prefix):
    edge.put("r-5", Idempotency_Key=topic_prefix)
    edge.put("r-5", OTHER, Idempotency_Key=topic_prefix)
    assert 'status="422",worker="0"' in edge.get("/metrics").data.decode()

"""The results of a batch, with a producer that fails as Kafka does."""

from __future__ import annotations

import asyncio
import json

import pytest

from taskstream.producer.acks.delivery import Ack
from taskstream.producer.admission.admission import Admission
from taskstream.producer.admission.counts import EdgeCounts
from taskstream.producer.admission.limits import Limits
from taskstream.producer.admission.readiness import Readiness
from taskstream.producer.callers.allow_any import AllowAny
from taskstream.producer.callers.authenticator_chain import AuthenticatorChain
from taskstream.producer.errors import NotAcked, RecordTooLarge
from taskstream.producer.events.event_builder import EventBuilder
from taskstream.producer.http.batch_endpoint import BatchEndpoint, read_lines
from taskstream.schemas.http.api_error import THROTTLED, ApiError
from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.ids import TableIds
from tests.producer.edges import REPORT


class Outcomes:
    """Acks of which each has the next outcome: an Ack or the failure of its delivery report."""

    in_flight = 0

    def __init__(self, *outcomes: Ack | NotAcked) -> None:
        self._outcomes = list(outcomes)

    def send(self, _event):
        future = asyncio.get_running_loop().create_future()
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Ack):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)
        return future


def endpoint_of(acks: Outcomes, limits: Limits) -> BatchEndpoint:
    readiness = Readiness()
    readiness.update()
    admission = Admission(AuthenticatorChain([AllowAny()]), acks, readiness, limits, EdgeCounts())
    return BatchEndpoint(admission, EventBuilder(TableIds()), acks, limits)


def post(*outcomes: Ack | NotAcked):
    body = json.dumps([{"task_id": f"t-{number}", **REPORT} for number in range(len(outcomes))]).encode()
    return post_body(endpoint_of(Outcomes(*outcomes), Limits()), body)


def post_body(endpoint: BatchEndpoint, body: bytes, query: bytes = b""):

    async def receive():
        return {"type": "http.request", "body": body}

    request = HttpRequest("POST", b"/v3/progress", query, [(b"x-auth-token", b"any")], receive)
    response = asyncio.run(endpoint.post(request))
    return response.status, json.loads(response.body)


def test_a_report_that_kafka_does_not_acknowledge_may_be_sent_again():
    status, results = post(Ack(0, 7), NotAcked("Kafka did not acknowledge: _TIMED_OUT", "_TIMED_OUT"))
    assert status == 207
    assert (results[0]["status"], results[0]["offset"]) == (200, 7)
    assert (results[1]["status"], results[1]["retriable"]) == (503, True)


def test_a_report_that_kafka_finds_too_large_is_refused_for_good():
    """It was answered with 503 when the broker, and not librdkafka, found it too large: a relay sent it without end."""
    status, results = post(Ack(0, 7), RecordTooLarge("the event is larger than Kafka accepts"))
    assert status == 207
    assert (results[1]["status"], results[1]["retriable"]) == (413, False)


@pytest.mark.parametrize("body", [json.dumps([{}] * 10).encode(), b"[" * 10])
def test_refused_reports_count_against_the_rate_of_their_caller(body):
    endpoint = endpoint_of(
        Outcomes(), Limits(reports_per_s=0.001, reports_burst=10, batch_bytes=max(len(body), 10), batch_reports=10)
    )
    with pytest.raises(ApiError) as refused:
        post_body(endpoint, body)
    assert refused.value.problem.kind.status == 400
    with pytest.raises(ApiError) as throttled:
        post_body(endpoint, body)
    assert throttled.value.problem.kind == THROTTLED


def test_a_batch_that_is_only_validated_counts_too():
    endpoint = endpoint_of(Outcomes(), Limits(reports_per_s=0.001, reports_burst=2, batch_reports=10))
    body = json.dumps([{"task_id": "t", **REPORT}] * 2).encode()
    assert post_body(endpoint, body, b"validate=true")[0] == 200
    with pytest.raises(ApiError):
        post_body(endpoint, body, b"validate=true")


def test_a_line_of_white_space_is_no_report_and_costs_nothing():
    assert read_lines(b" " * 1_000_000 + b"\n{}\r\n\t\n 5 ", 2) == [{}, 5]

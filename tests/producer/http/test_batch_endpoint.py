"""The results of a batch, with a producer that fails as Kafka does."""

from __future__ import annotations

import asyncio
import json

from taskstream.producer.acks.delivery import Ack
from taskstream.producer.admission.admission import Admission
from taskstream.producer.admission.counts import EdgeCounts
from taskstream.producer.admission.limits import Limits
from taskstream.producer.admission.readiness import Readiness
from taskstream.producer.callers.allow_any import AllowAny
from taskstream.producer.callers.authenticator_chain import AuthenticatorChain
from taskstream.producer.errors import NotAcked, RecordTooLarge
from taskstream.producer.events.event_builder import EventBuilder
from taskstream.producer.http.batch_endpoint import BatchEndpoint
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


def post(*outcomes: Ack | NotAcked):
    acks, limits = Outcomes(*outcomes), Limits()
    admission = Admission(AuthenticatorChain([AllowAny()]), acks, Readiness(kafka=None), limits, EdgeCounts())
    endpoint = BatchEndpoint(admission, EventBuilder(TableIds()), acks, limits)
    body = json.dumps([{"task_id": f"t-{number}", **REPORT} for number in range(len(outcomes))]).encode()

    async def receive():
        return {"type": "http.request", "body": body}

    request = HttpRequest("POST", b"/v3/progress", b"", [(b"x-auth-token", b"any")], receive)
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

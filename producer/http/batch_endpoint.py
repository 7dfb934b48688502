"""The endpoint for relays: many reports in one request, each with its own result. It knows no server.

200 when Kafka has all of them, 207 when it has some, an error when it has none: 200 never carries a failure.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError
from pydantic_core import from_json

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.acks.delivery import Ack
from taskstream.producer.admission.admission import Admission
from taskstream.producer.admission.limits import TASK_ID_CHARS, Limits
from taskstream.producer.callers.signature import signed_key
from taskstream.producer.errors import NotAcked, RecordTooLarge
from taskstream.producer.events.event import EventWriter, Receipt, fresh_event_id, recorded, same_event_id
from taskstream.producer.events.report_validation import ProgressReport, refusal
from taskstream.producer.http.body_encoding import JSON, JSON_LINES, demand_media
from taskstream.producer.http.progress_endpoint import now_us, task_id_problem, traceparent
from taskstream.producer.http.request import EdgeRequest, EdgeResponse, wants_validation
from taskstream.schemas.http.api_error import (
    INVALID_FIELD,
    MALFORMED,
    TOO_LARGE,
    UNAVAILABLE,
    ApiError,
    ErrorAnswer,
    FieldError,
)

TaskId = Annotated[str, Field(max_length=TASK_ID_CHARS, description="The migration task.")]
Key = Annotated[str, Field(min_length=1, max_length=255)]


class RelayedReport(ProgressReport):
    """One report of a batch: the task stands in it, for there is no path to hold it."""

    task_id: TaskId
    idempotency_key: Annotated[Key | None, Field(description="As the header Idempotency-Key of a single one.")] = None


_validate: Final = RelayedReport.__pydantic_validator__.validate_python
Line = RelayedReport | ErrorAnswer


class BatchEndpoint:
    """POST /v3/progress."""

    def __init__(self, admission: Admission, writer: EventWriter, acks: AckedProducer, limits: Limits) -> None:
        self._admission = admission
        self._writer = writer
        self._acks = acks
        self._limits = limits

    @property
    def reports_at_most(self) -> int:
        """How many reports one batch may have."""
        return self._limits.batch_reports

    async def post(self, request: EdgeRequest) -> EdgeResponse:
        """A result a line, in the form and the order of the request.

        Raises:
            ApiError: nothing of it was taken.
        """
        project_id, body = await self._admission.take(request, self._limits.batch_bytes)
        as_lines = demand_media(request, JSON | JSON_LINES) in JSON_LINES
        lines = read_lines(body) if as_lines else read_array(body)
        if not 0 < len(lines) <= self._limits.batch_reports:
            raise ApiError(MALFORMED, f"the batch has {len(lines)} reports; send 1 to {self._limits.batch_reports}")
        read = [_read(line) for line in lines]
        good = [line for line in read if isinstance(line, RelayedReport)]
        self._admission.counts.unknown_fields += sum(line.unknown_fields for line in good)
        if not good:
            raise _all_refused(read)
        if request.query and wants_validation(request.query):
            results = [self._would_be(line, project_id, number, request) for number, line in enumerate(read)]
        else:
            self._admission.admit(project_id, len(good))
            results = await self._produce(read, project_id, request)
        return _answer(results, as_lines=as_lines, request=request)

    async def _produce(self, read: list[Line], project_id: str, request: EdgeRequest) -> list[dict[str, Any]]:
        sent = [
            self._send(line, project_id, number, request) if isinstance(line, RelayedReport) else (line, "")
            for number, line in enumerate(read)
        ]
        futures = [outcome for outcome, _ in sent if isinstance(outcome, asyncio.Future)]
        if futures:
            await asyncio.wait(futures)
        results = [_result(outcome, name, number, request) for number, (outcome, name) in enumerate(sent)]
        self._admission.counts.taken += sum(result["status"] == 200 for result in results)
        if all(result["status"] == UNAVAILABLE.status for result in results):
            raise self._admission.unavailable("Kafka acknowledged none of the batch")
        return results

    def _send(
        self, report: RelayedReport, project_id: str, number: int, request: EdgeRequest
    ) -> tuple[asyncio.Future[Ack] | ErrorAnswer, str]:
        receipt = self._receipt(report, project_id, number, request)
        try:
            return self._acks.send(self._writer.write(report, receipt)), receipt.event_id
        except RecordTooLarge as error:
            return ErrorAnswer(TOO_LARGE, str(error)), ""
        except NotAcked as error:
            return ErrorAnswer(UNAVAILABLE, str(error)), ""

    def _receipt(self, report: RelayedReport, project_id: str, number: int, request: EdgeRequest) -> Receipt:
        received_at_us = now_us()
        key = report.idempotency_key
        if key is None and (signed := signed_key(request.headers)) is not None:
            key = f"{signed} {number}"
        name = same_event_id(project_id, report.task_id, key) if key else fresh_event_id(received_at_us)
        return Receipt(project_id, report.task_id, name, received_at_us, traceparent(request))

    def _would_be(self, line: Line, project_id: str, number: int, request: EdgeRequest) -> dict[str, Any]:
        if isinstance(line, ErrorAnswer):
            return _told(line, request)
        return {"status": 200, "event": recorded(line, self._receipt(line, project_id, number, request))}


def read_array(body: bytes) -> list[Any]:
    """The elements of a JSON array.

    Raises:
        ApiError: it is none.
    """
    try:
        elements = from_json(body)
    except ValueError as error:
        raise ApiError(MALFORMED, f"the body is no JSON in UTF-8: {error}") from error
    if not isinstance(elements, list):
        raise ApiError(MALFORMED, "the body is JSON and no array; send an array of reports, or one report a line")
    return elements


def read_lines(body: bytes) -> list[Any]:
    """What stands in each line that is not blank; a line that is no JSON becomes its refusal."""
    return [_parsed(line) for line in body.splitlines() if line.strip()]


def _parsed(line: bytes) -> Any:
    try:
        return from_json(line)
    except ValueError as error:
        return ErrorAnswer(MALFORMED, f"the line is no JSON in UTF-8: {error}")


def _read(line: Any) -> Line:
    if isinstance(line, ErrorAnswer):
        return line
    try:
        report: RelayedReport = _validate(line, strict=True)
    except ValidationError as error:
        return refusal(error.errors(include_url=False, include_input=False), b"line", RelayedReport).answer
    if problem := task_id_problem(report.task_id):
        field = FieldError("task_id", f"must not be one that {problem}")
        return ErrorAnswer(INVALID_FIELD, f"task_id: {field.rule}", (field,))
    return report


def _all_refused(read: list[Line]) -> ApiError:
    """Nothing of the batch can be taken: say what is wrong with the first ones."""
    refused = [(number, line) for number, line in enumerate(read) if isinstance(line, ErrorAnswer)]
    fields = tuple(
        FieldError(f"[{number}].{each.field}", each.rule) for number, line in refused[:20] for each in line.fields
    )
    number, first = refused[0]
    return ApiError(first.kind, f"no report of the batch can be taken; number {number}: {first.detail}", fields=fields)


def _result(outcome: asyncio.Future[Ack] | ErrorAnswer, name: str, number: int, request: EdgeRequest) -> dict[str, Any]:
    if isinstance(outcome, ErrorAnswer):
        return {"number": number, **_told(outcome, request)}
    if failure := outcome.exception():
        return {"number": number, **_told(ErrorAnswer(UNAVAILABLE, str(failure)), request)}
    ack = outcome.result()
    return {"number": number, "status": 200, "event_id": name, "partition": ack.partition, "offset": ack.offset}


def _told(answer: ErrorAnswer, request: EdgeRequest) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(answer.body(request.name()))
    return document


def _answer(results: list[dict[str, Any]], *, as_lines: bool, request: EdgeRequest) -> EdgeResponse:
    status = 200 if all(result["status"] == 200 for result in results) else 207
    if as_lines:
        body = b"".join(json.dumps(result).encode() + b"\n" for result in results)
    else:
        body = json.dumps(results).encode()
    media = b"application/x-ndjson" if as_lines else b"application/json"
    headers = [(b"content-type", media), (b"content-length", b"%d" % len(body))]
    return EdgeResponse(status, [*headers, (b"x-request-id", request.name().encode())], body)

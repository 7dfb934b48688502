"""The endpoint for relays: many reports in one request, each with its own result. It knows no server.

The status is 200 when Kafka acknowledged all reports, 207 when it acknowledged some, and an error when it acknowledged
none: 200 never carries a failure.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError
from pydantic_core import from_json

from taskstream.producer.acks.acked_producer import AckedProducer
from taskstream.producer.acks.delivery import Ack
from taskstream.producer.admission.admission import TASKS_RETRY_AFTER_S, Admission
from taskstream.producer.admission.body_encoding import JSON, JSON_LINES, require_media_type
from taskstream.producer.admission.limits import TASK_ID_CHARS, Limits
from taskstream.producer.admission.quota import quota_cost
from taskstream.producer.callers.signed_head import request_signature
from taskstream.producer.errors import NotAcked
from taskstream.producer.events.event_builder import (
    EventBuilder,
    Receipt,
    encoded_report,
    event_fields,
    idempotent_event_id,
    new_event_id,
)
from taskstream.producer.events.report_validation import ProgressReport, validation_error
from taskstream.producer.http.progress_endpoint import now_us, task_id_problem, traceparent, wants_validation
from taskstream.schemas.http.api_error import (
    MALFORMED,
    TOO_MANY_TASKS,
    UNAVAILABLE,
    ApiError,
    FieldError,
    ProblemDetails,
    invalid_field,
)
from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.http.response import JSON_CONTENT, HttpResponse, content_response

_LINE: Final = re.compile(rb"\S[^\r\n]*")
"""A line that is not blank, from its first character that is not white space."""
FULL_RESULTS: Final = 20
"""How many refused or validated reports of a batch are answered in full; a later one gets its status and its code."""
_SHORT: Final = ("number", "status", "error_code", "retriable")
_JSON_LINES_CONTENT: Final = b"application/x-ndjson"
TaskId = Annotated[str, Field(max_length=TASK_ID_CHARS, description="The migration task.")]
Key = Annotated[str, Field(min_length=1, max_length=255)]


class RelayedReport(ProgressReport):
    """One report of a batch: it names its task, because the path of a batch does not."""

    task_id: TaskId
    idempotency_key: Annotated[Key | None, Field(description="Like the header Idempotency-Key of a single report.")] = (
        None
    )


_validate: Final = RelayedReport.__pydantic_validator__.validate_python
ParsedReport = RelayedReport | ProblemDetails
"""One report of a batch, or why it is refused."""


class BatchEndpoint:
    """POST /v3/progress."""

    def __init__(
        self,
        admission: Admission,
        event_builder: EventBuilder,
        acks: AckedProducer,
        limits: Limits,
        clock_us: Callable[[], int] = now_us,
    ) -> None:
        self._admission = admission
        self._event_builder = event_builder
        self._acks = acks
        self._limits = limits
        self._clock_us = clock_us

    @property
    def max_reports(self) -> int:
        """How many reports one batch may have."""
        return self._limits.batch_reports

    async def post(self, request: HttpRequest) -> HttpResponse:
        """One result per report, in the format and the order of the request.

        Raises:
            ApiError: the whole batch is refused, or Kafka acknowledged none of it.
        """
        project_id, body = await self._admission.read_body(request, self._limits.batch_bytes)
        try:
            as_lines = require_media_type(request, JSON | JSON_LINES) in JSON_LINES
            validates_only = request.query and wants_validation(request.query)
            elements = (read_lines if as_lines else read_array)(body, self._limits.batch_reports)
        except ApiError as error:
            as_reports = max(1, self._limits.batch_reports * len(body) // self._limits.batch_bytes)
            raise self._admission.charged_refusal(project_id, error, as_reports) from error
        self._admission.charge(project_id, quota_cost(len(elements), len(body)))
        parsed = [_parse(element) for element in elements]
        valid = [report for report in parsed if isinstance(report, RelayedReport)]
        self._admission.counts.unknown_fields += sum(len(report.unknown_names) for report in valid)
        if not valid:
            raise _all_refused(parsed)
        if validates_only:
            results = [
                {"number": number, **self._validation_result(report, project_id, number, request)}
                for number, report in enumerate(parsed)
            ]
        else:
            self._admission.require_capacity(len(valid))
            results = await self._produce(parsed, project_id, request)
        return _response(results, as_lines=as_lines, request=request)

    async def _produce(self, parsed: list[ParsedReport], project_id: str, request: HttpRequest) -> list[dict[str, Any]]:
        sent = [
            self._send(report, project_id, number, request) if isinstance(report, RelayedReport) else (report, "")
            for number, report in enumerate(parsed)
        ]
        futures = [outcome for outcome, _ in sent if isinstance(outcome, asyncio.Future)]
        if futures:
            await asyncio.wait(futures)
        refused = [outcome for outcome, _ in sent if isinstance(outcome, ProblemDetails)]
        if len(refused) == len(sent) and not any(each.kind.retriable for each in refused):
            raise _all_refused(refused)
        results = [
            {"number": number, **self._result(outcome, event_id, request)}
            for number, (outcome, event_id) in enumerate(sent)
        ]
        self._admission.counts.accepted += sum(result["status"] == 200 for result in results)
        if all(result["status"] == UNAVAILABLE.status for result in results):
            raise self._admission.unavailable("Kafka acknowledged none of the batch")
        if all(result["status"] == TOO_MANY_TASKS.status for result in results):
            raise ApiError(TOO_MANY_TASKS, results[0]["detail"], retry_after_s=TASKS_RETRY_AFTER_S)
        return results

    def _send(
        self, report: RelayedReport, project_id: str, number: int, request: HttpRequest
    ) -> tuple[asyncio.Future[Ack] | ProblemDetails, str]:
        receipt = self._receipt(report, project_id, number, request)
        event = self._event_builder.build(report, receipt)
        try:
            self._admission.admit_task(project_id, event.key)
            if receipt.has_key:
                self._admission.require_same_report(project_id, receipt.event_id, encoded_report(event, receipt))
            return self._acks.send(event), receipt.event_id
        except ApiError as error:
            return error.problem, ""
        except NotAcked as error:
            return self._admission.not_acked(error).problem, ""

    def _receipt(self, report: RelayedReport, project_id: str, number: int, request: HttpRequest) -> Receipt:
        received_at_us = self._clock_us()
        key = report.idempotency_key
        if key is not None:
            event_id = idempotent_event_id(project_id, report.task_id, key)
        elif (signed := request_signature(request.headers)) is not None:
            event_id = idempotent_event_id(project_id, report.task_id, f"{signed.key} {number}")
        else:
            event_id = new_event_id(received_at_us)
        return Receipt(project_id, report.task_id, event_id, received_at_us, traceparent(request), key is not None)

    def _result(
        self, outcome: asyncio.Future[Ack] | ProblemDetails, event_id: str, request: HttpRequest
    ) -> dict[str, Any]:
        if isinstance(outcome, ProblemDetails):
            return _problem_document(outcome, request)
        failure = outcome.exception()
        if isinstance(failure, NotAcked):
            return _problem_document(self._admission.not_acked(failure).problem, request)
        ack = outcome.result()
        return {"status": 200, "event_id": event_id, "partition": ack.partition, "offset": ack.offset}

    def _validation_result(
        self, report: ParsedReport, project_id: str, number: int, request: HttpRequest
    ) -> dict[str, Any]:
        if isinstance(report, ProblemDetails):
            return _problem_document(report, request)
        return {"status": 200, "event": event_fields(report, self._receipt(report, project_id, number, request))}


def read_array(body: bytes, limit: int) -> list[Any]:
    """The elements of a JSON array.

    Raises:
        ApiError: MALFORMED, when the body is not a JSON array, or has no element or more than `limit`.
    """
    try:
        elements = from_json(body)
    except ValueError as error:
        raise ApiError(MALFORMED, f"the body is not valid UTF-8 JSON: {error}") from error
    if not isinstance(elements, list):
        raise ApiError(MALFORMED, "the body is not a JSON array; send an array of reports, or one report per line")
    if not 0 < len(elements) <= limit:
        raise ApiError(MALFORMED, f"the batch has {len(elements)} reports; send 1 to {limit}")
    return elements


def read_lines(body: bytes, limit: int) -> list[Any]:
    """The JSON value of each line that is not blank; a line that is not JSON becomes its ProblemDetails.

    The lines are counted first: one that is beyond `limit` costs nothing, and none is parsed then.

    Raises:
        ApiError: MALFORMED, when there is no line or more than `limit`.
    """
    lines = [match[0] for match in itertools.islice(_LINE.finditer(body), limit + 1)]
    if not 0 < len(lines) <= limit:
        count = f"more than {limit}" if lines else "0"
        raise ApiError(MALFORMED, f"the batch has {count} reports; send 1 to {limit}")
    return [_line_value(line) for line in lines]


def _line_value(line: bytes) -> Any:
    try:
        return from_json(line)
    except ValueError as error:
        return ProblemDetails(MALFORMED, f"the line is not valid UTF-8 JSON: {error}")


def _parse(element: Any) -> ParsedReport:
    if isinstance(element, ProblemDetails):
        return element
    try:
        report: RelayedReport = _validate(element, strict=True)
    except ValidationError as error:
        return validation_error(error.errors(include_url=False), b"line", RelayedReport).problem
    if problem := task_id_problem(report.task_id):
        return invalid_field("task_id", problem).problem
    return report


def _all_refused(parsed: Sequence[ParsedReport]) -> ApiError:
    """The error of a batch without a valid report; it names the invalid fields of the first 20 reports."""
    refused = [(number, report) for number, report in enumerate(parsed) if isinstance(report, ProblemDetails)]
    fields = tuple(
        FieldError(f"[{number}].{each.field}", each.rule)
        for number, problem in refused[:FULL_RESULTS]
        for each in problem.fields
    )
    number, first = refused[0]
    return ApiError(first.kind, f"no report of the batch is accepted; number {number}: {first.detail}", fields=fields)


def _problem_document(problem: ProblemDetails, request: HttpRequest) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(problem.body(request.request_id))
    return document


def _bounded(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results, with the problems and events beyond the first `FULL_RESULTS` shortened.

    A refused report of 2 bytes has a problem of 2 kB; a gzip body of a thousand equal reports has a few kB, and their
    events several MB.
    """
    long = [index for index, result in enumerate(results) if result["status"] != 200 or "event" in result]
    shown = list(results)
    for index in long[FULL_RESULTS:]:
        shown[index] = {name: results[index][name] for name in _SHORT if name in results[index]}
    return shown


def _response(results: list[dict[str, Any]], *, as_lines: bool, request: HttpRequest) -> HttpResponse:
    results = _bounded(results)
    status = 200 if all(result["status"] == 200 for result in results) else 207
    if as_lines:
        body = b"".join(json.dumps(result).encode() + b"\n" for result in results)
    else:
        body = json.dumps(results).encode()
    content_type = _JSON_LINES_CONTENT if as_lines else JSON_CONTENT
    return content_response(request.request_id, body, content_type, status=status)

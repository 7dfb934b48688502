"""Validates the JSON body of a progress report: its fields, their bounds, and the error for a body that breaks them.

It knows no HTTP server, no Kafka and no caller.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from taskstream.producer.events.plain_report import PlainReport, plain_report
from taskstream.schemas.http.api_error import INVALID_FIELD, MALFORMED, ApiError, FieldError
from taskstream.schemas.subtasks import SUBTASKS

LONG_MAX: Final = 2**63 - 1
if TYPE_CHECKING:
    SubtaskName = str
else:
    SubtaskName = Literal[SUBTASKS]

Size = Annotated[int, Field(ge=0, le=LONG_MAX)]
Rate = Annotated[float, Field(ge=0, le=10_000)]


class ProgressReport(BaseModel):
    """The body of one report, with the bounds of the API.

    Validation is strict: 5.0 and "5" are not integers. Unknown fields are accepted and kept in `model_extra`, because
    an agent may be newer than the edge. The fields from `total_cpu_usage` on came with version 2 of the API, which
    publishes no bounds for them: any finite number is accepted.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)

    subtask_name: Annotated[SubtaskName, Field(description="The subtask that the agent is at.")]
    progress: Annotated[int, Field(ge=0, le=100, description="Progress of the subtask in percent.")]
    replicatesize: Annotated[Size, Field(description="Bytes replicated so far in the subtask.")]
    totalsize: Annotated[Size, Field(description="Bytes to be migrated in the subtask.")]
    process_trace: Annotated[str, Field(max_length=2048, description="Detailed progress, in the agent's words.")]
    migrate_speed: Annotated[Rate | None, Field(description="The migration rate in Mbit/s.")] = None
    compress_rate: Annotated[Rate | None, Field(description="The file compression rate.")] = None
    remain_time: Annotated[
        Annotated[int, Field(ge=0, le=2**31 - 1)] | None, Field(description="The remaining time in seconds.")
    ] = None
    total_cpu_usage: Annotated[float | None, Field(description="CPU of the source server in percent.")] = None
    agent_cpu_usage: Annotated[float | None, Field(description="CPU of the agent in percent.")] = None
    total_mem_usage: Annotated[float | None, Field(description="Memory of the source server in MB.")] = None
    agent_mem_usage: Annotated[float | None, Field(description="Memory of the agent in MB.")] = None
    total_disk_io: Annotated[float | None, Field(description="Disk I/O of the source server in Mbit/s.")] = None
    agent_disk_io: Annotated[float | None, Field(description="Disk I/O of the agent in Mbit/s.")] = None
    need_migration_test: Annotated[bool | None, Field(description="Whether a migration test is wanted.")] = None
    agent_time: Annotated[
        Annotated[str, Field(max_length=255)] | None, Field(description="The agent's clock, as it writes it.")
    ] = None

    @property
    def unknown_names(self) -> tuple[str, ...]:
        """The names of the unknown fields in the body."""
        return tuple(self.__pydantic_extra__ or ())


_SHOWN: Final = 10**40
_validate_json = ProgressReport.__pydantic_validator__.validate_json


def parse_report(body: bytes) -> PlainReport | ProgressReport:
    """Parse and validate a request body.

    Raises:
        ApiError: MALFORMED if the body is not a JSON object, else INVALID_FIELD with the rule of every invalid field.
    """
    return plain_report(body) or validated_report(body)


def validated_report(body: bytes) -> ProgressReport:
    """The same without the short way of `plain_report`: this alone decides what is valid, and words the refusals."""
    try:
        report: ProgressReport = _validate_json(body)
    except ValidationError as error:
        raise validation_error(error.errors(include_url=False), body) from error
    return report


def validation_error(
    problems: list[ErrorDetails], body: bytes, model: type[ProgressReport] = ProgressReport
) -> ApiError:
    """The API error for a body in which pydantic found these problems."""
    first = problems[0]
    if not body.strip():
        return ApiError(MALFORMED, "the body is empty; send a JSON object")
    if first["type"] == "json_invalid":
        return ApiError(MALFORMED, f"the body is not valid UTF-8 JSON: {first['ctx']['error']}")
    if not first["loc"]:
        return ApiError(MALFORMED, "the body is JSON but not an object; send a JSON object")
    rules = field_rules(model)
    fields = tuple(_field_error(problem, rules) for problem in problems)
    message = "; ".join(f"{each.field}: {each.rule}" for each in fields)
    return ApiError(INVALID_FIELD, message, fields=fields)


@functools.cache
def field_rules(model: type[ProgressReport]) -> dict[str, str]:
    """[field] Its rule as a phrase, such as "an integer from 0 to 100"."""
    return {name: _rule(schema) for name, schema in model.model_json_schema()["properties"].items()}


def _field_error(problem: ErrorDetails, rules: dict[str, str]) -> FieldError:
    name = str(problem["loc"][0])
    rule = rules[name]
    if problem["type"] == "missing":
        return FieldError(name, f"is mandatory: {rule}")
    return FieldError(name, f"must be {rule}, not {_received(problem['input'])}")


def _received(value: object) -> str:
    """What came instead: a number as it came, of anything else its kind; strings may be long, or secret."""
    if value is None or isinstance(value, (bool, float)):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < _SHOWN else "an integer of more than 40 digits"
    if isinstance(value, str):
        return f"a string of {len(value)} characters"
    return "an array" if isinstance(value, list) else "an object"


def _rule(schema: dict[str, Any]) -> str:
    """A field's rule as a phrase, derived from its JSON schema, so that the message matches the validation."""
    branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    branch = branches[0]
    optional = " or null" if "anyOf" in schema else ""
    if "enum" in branch:
        return "one of " + ", ".join(branch["enum"])
    if branch["type"] == "string":
        least = f"{branch['minLength']} to " if "minLength" in branch else "up to "
        return f"a string of {least}{branch['maxLength']} characters{optional}"
    if branch["type"] == "boolean":
        return f"true or false{optional}"
    noun = {"integer": "an integer", "number": "a finite number"}[branch["type"]]
    bounds = f" from {branch['minimum']:.0f} to {branch['maximum']:.0f}" if "minimum" in branch else ""
    if branch["type"] == "integer" and "minimum" in branch:
        bounds = f" from {branch['minimum']} to {branch['maximum']}"
    return f"{noun}{bounds}{optional}"

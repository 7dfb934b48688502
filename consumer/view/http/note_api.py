"""PUT and DELETE /tasks/{task_id}/note: what an operator notes about a task. It knows no Kafka and no ASGI."""

from __future__ import annotations

from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taskstream.consumer.notes.note_decoder import NoteChange
from taskstream.consumer.notes.task_note import LONGEST_BY, LONGEST_NOTE, LONGEST_US, NoteKind, TaskNote
from taskstream.schemas.http.api_error import INVALID_FIELD, ApiError, FieldError, invalid_field
from taskstream.schemas.http.caller import Caller

LONGEST_BODY = 16_384


class NoteStore(Protocol):
    """Where notes are kept. It may block."""

    def write(self, name: tuple[str, str], note: TaskNote | None, /) -> NoteChange:
        """Make this note of the task (project and id), or withdraw its note.

        Raises:
            KafkaFailed, RegistryFailed, UnknownSchema: it is not kept.
        """
        ...

    def close(self) -> None:
        """End it."""
        ...


class NoteRequest(BaseModel):
    """The body of PUT."""

    model_config = ConfigDict(extra="forbid")

    kind: NoteKind
    note: str = Field(min_length=1, max_length=LONGEST_NOTE)
    until_ms: int
    by: str = Field(default="", max_length=LONGEST_BY)


def note_of(body: bytes, name: tuple[str, str], caller: Caller, now_us: int) -> TaskNote:
    """The note that the body of a request asks for.

    Raises:
        ApiError: INVALID_FIELD.
    """
    try:
        asked = NoteRequest.model_validate_json(body)
    except ValidationError as error:
        wrong = [(".".join(map(str, each["loc"])) or "body", each["msg"]) for each in error.errors(include_url=False)]
        detail = "; ".join(f"{field[:100]}: {rule}" for field, rule in wrong[:10])
        raise ApiError(INVALID_FIELD, detail, fields=tuple(FieldError(*each) for each in wrong[:10])) from error
    until_us = asked.until_ms * 1000
    if not now_us < until_us <= now_us + LONGEST_US:
        days = LONGEST_US // 86_400_000_000
        raise invalid_field("until_ms", f"must be after now ({now_us // 1000}) and within {days} days")
    return TaskNote(*name, asked.kind, asked.note, asked.by or caller.name or caller.project_id, now_us, until_us)

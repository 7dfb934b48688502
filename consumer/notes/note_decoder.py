"""Decodes records of the notes topic. It knows the record, and neither the topic nor its reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskstream.consumer.kafka.direct.source_batch import SourceBatch
from taskstream.consumer.kafka.raw_record import RawRecord
from taskstream.consumer.notes.task_note import NoteKind, TaskNote
from taskstream.schemas.codec.record_codec import RecordReader
from taskstream.schemas.errors import Undecodable
from taskstream.schemas.ids import SchemaIds
from taskstream.schemas.topics import task_key


@dataclass(frozen=True, slots=True)
class NoteChange:
    """A task's note was made, or withdrawn (None)."""

    name: tuple[str, str]
    note: TaskNote | None
    offset: int


@dataclass(frozen=True, slots=True)
class NoteChanges:
    """The content of one batch."""

    changes: Sequence[NoteChange]
    unreadable: int
    """How many records were left out: not decodable, of an unknown kind, or under the key of another task."""


class NoteDecoder:
    """Decodes batches of the notes topic; a `BatchDecoder`, see `taskstream.consumer.view.follow.follower`."""

    def __init__(self, ids: SchemaIds) -> None:
        self._reader = RecordReader(ids, "TaskNote")

    def decode(self, records: SourceBatch) -> NoteChanges:
        """The notes of these records.

        Raises:
            RegistryFailed: a schema had to be looked up, and the registry did not answer.
        """
        found = [self._change(records.record(index)) for index in range(len(records))]
        changes = [each for each in found if each is not None]
        return NoteChanges(changes, len(found) - len(changes))

    def _change(self, record: RawRecord) -> NoteChange | None:
        key, value, offset = record.key, record.value, record.offset
        try:
            project_id, _, task_id = (key or b"").decode().partition("/")
            if value is None:
                return NoteChange((project_id, task_id), None, offset)
            fields = self._reader.read(value)
            note = TaskNote(**fields | {"kind": NoteKind(fields["kind"])})
        except (Undecodable, ValueError):  # ValueError: the key is not UTF-8, or a newer program knows another kind
            return None
        is_own = key == task_key(note.project_id, note.task_id).encode() and "/" not in note.project_id
        return NoteChange(note.name, note, offset) if is_own else None

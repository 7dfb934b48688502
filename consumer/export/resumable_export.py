"""An export to one file: pieces and a note of how far they reach, until the file is whole and gets its name.

Killed at any moment it goes on where the last piece ends. FILE.partial holds the pieces, FILE.partial.json the note.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from taskstream.consumer.errors import ExportExists, ExportUnusable, PartialExportUnusable
from taskstream.consumer.export.file_formats import FORMATS
from taskstream.consumer.export.topic_batches import TopicBatches
from taskstream.consumer.kafka.cluster import OffsetRange

PIECE_ROWS = 200_000
PIECE_BYTES = 64 << 20


@dataclass(slots=True)
class ExportProgress:
    """What is done of an export; lies beside the file while it is not whole."""

    request: Mapping[str, Any]
    """What was asked for: an export goes on only with the same."""
    spans: dict[int, OffsetRange]
    """Pinned when it began."""
    positions: dict[int, int]
    pieces: list[int] = field(default_factory=list)
    """Where each piece ends, in bytes."""
    rows: int = 0
    tombstones: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    def rest(self) -> dict[int, OffsetRange]:
        """What is still to be read."""
        return {each: OffsetRange(self.positions[each], span.end, span.gone) for each, span in self.spans.items()}


class Export:
    """`Export(path, ...).run(batches_of)`. Only one process at a time writes to a file."""

    def __init__(
        self,
        path: Path,
        request: Mapping[str, Any],
        *,
        piece_rows: int = PIECE_ROWS,
        overwrite: bool = False,
        restart: bool = False,
    ) -> None:
        if path.suffix not in FORMATS:
            raise ExportUnusable(f"{path}: the ending tells the format: give one of {', '.join(FORMATS)}")
        self._path = path
        self._format = FORMATS[path.suffix]
        self._partial = path.with_name(path.name + ".partial")
        self._note_path = path.with_name(path.name + ".partial.json")
        self._request = dict(request)
        self._piece_rows = piece_rows
        self._overwrite = overwrite
        self._restart = restart
        self.resumed = False
        """Whether an earlier run is gone on with."""

    def run(
        self,
        spans_of: Callable[[], Mapping[int, OffsetRange]],
        batches_of: Callable[[Mapping[int, OffsetRange]], TopicBatches],
        told: Callable[[TopicBatches, ExportProgress], None] = lambda _batches, _note: None,
    ) -> ExportProgress:
        """Export all of the range, or what is left of it; gives the whole account. `told` is called now and then.

        Raises:
            ExportUnusable: the file is there, or half of another export is, or somebody else is writing it.
            ConsumerError: the topic could not be read; what is written stays, and can be gone on with.
        """
        if self._path.exists() and not self._overwrite:
            raise ExportExists(f"{self._path} exists")
        try:
            with self._partial.open("a+b") as file:
                _lock(file, self._path)
                note = self._begin(file, spans_of)
                self._read(file, note, batches_of(note.rest()), told)
                self._format.finish(self._partial, note.pieces)
                with self._partial.open("rb") as whole:
                    os.fsync(whole.fileno())
                self._partial.replace(self._path)
                self._note_path.unlink()
        except OSError as error:
            raise ExportUnusable(f"{self._path} cannot be written: {error}") from error
        return note

    def _begin(self, file: BinaryIO, spans_of: Callable[[], Mapping[int, OffsetRange]]) -> ExportProgress:
        """The note of an earlier run, the file cut to what it tells; or a new one."""
        note = None if self._restart else self._found()
        self.resumed = note is not None
        if note is None:
            spans = dict(spans_of())
            note = ExportProgress(self._request, spans, {each: span.begin for each, span in spans.items()})
        file.truncate(note.pieces[-1] if note.pieces else 0)
        file.seek(0, os.SEEK_END)
        self._write_note(note)
        return note

    def _read(
        self,
        file: BinaryIO,
        note: ExportProgress,
        batches: TopicBatches,
        told: Callable[[TopicBatches, ExportProgress], None],
    ) -> None:
        before = note.rows, note.tombstones, Counter(note.rejected)
        held: list[pa.RecordBatch] = []

        def write() -> None:
            self._format.append(file, pa.Table.from_batches(held, batches.schema))
            file.flush()
            os.fsync(file.fileno())
            held.clear()
            note.positions = batches.positions
            note.pieces.append(file.tell())
            note.rows, note.tombstones = before[0] + batches.rows, before[1] + batches.tombstones
            note.rejected = dict(before[2] + batches.rejected)
            self._write_note(note)
            told(batches, note)

        for batch in batches:
            held.append(batch)
            if sum(each.num_rows for each in held) >= self._piece_rows or _bytes(held) >= PIECE_BYTES:
                write()
        if held or not note.pieces or note.positions != batches.positions:
            write()

    def _found(self) -> ExportProgress | None:
        try:
            kept = json.loads(self._note_path.read_text("utf-8"))
            spans = {int(each): OffsetRange(**span) for each, span in kept.pop("spans").items()}
            positions = {int(each): offset for each, offset in kept.pop("positions").items()}
            note = ExportProgress(spans=spans, positions=positions, **kept)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PartialExportUnusable(f"{self._note_path} does not describe a partial export") from error
        if note.request != self._request:
            raise PartialExportUnusable(
                f"{self._partial} is part of another export ({_shown(note.request)}; now {_shown(self._request)})"
            )
        if self._partial.stat().st_size < (note.pieces[-1] if note.pieces else 0):
            raise PartialExportUnusable(f"{self._partial} is shorter than {self._note_path} says")
        return note

    def _write_note(self, note: ExportProgress) -> None:
        new = self._note_path.with_name(self._note_path.name + ".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(asdict(note), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._note_path)


def _lock(file: BinaryIO, path: Path) -> None:
    """Until the file is closed, or the process ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ExportUnusable(f"another export is writing {path}: wait for it") from error


def _bytes(held: list[pa.RecordBatch]) -> int:
    return sum(int(each.nbytes) for each in held)


def _shown(request: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in request.items() if value is not None)

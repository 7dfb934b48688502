"""An export to one file that can be interrupted and resumed. It is written in pieces; the complete file gets its name.

An export that was killed resumes after its last piece. FILE.partial has the pieces, FILE.partial.json the progress.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from taskstream.consumer.errors import ExportExists, ExportFormatUnknown, ExportUnusable, PartialExportUnusable
from taskstream.consumer.export.file_formats import FORMATS, Format, format_of
from taskstream.consumer.export.topic_batches import TopicBatches
from taskstream.consumer.kafka.cluster import OffsetRange
from taskstream.consumer.regular_file import lock_alone, open_regular, unwritable

PIECE_ROWS = 200_000
PIECE_BYTES = 64 << 20


@dataclass(slots=True)
class ExportProgress:
    """How far an export is; it is stored beside the file until the file is complete."""

    request: Mapping[str, Any]
    """What to export: an export resumes only with the same request."""
    spans: dict[int, OffsetRange]
    """[partition] The offsets and times to export, pinned when the export began."""
    positions: dict[int, int]
    """[partition] The offset after the last record that was exported."""
    pieces: list[int] = field(default_factory=list)
    """The offset in bytes at which each piece ends."""
    rows: int = 0
    tombstones: int = 0
    rejected: dict[str, int] = field(default_factory=dict)

    def rest(self) -> dict[int, OffsetRange]:
        """[partition] The offsets that are not exported yet."""
        return {each: replace(span, begin=self.positions[each]) for each, span in self.spans.items()}


class Export:
    """`Export(path, ...).run(spans_of, batches_of)`. Only one process at a time writes to a file."""

    def __init__(
        self,
        path: Path,
        request: Mapping[str, Any],
        *,
        piece_rows: int = PIECE_ROWS,
        overwrite: bool = False,
        restart: bool = False,
        formats: Mapping[str, Format] = FORMATS,
    ) -> None:
        """`formats`: [the end of the file's name]."""
        chosen = format_of(path, formats)
        if chosen is None:
            raise ExportFormatUnknown(
                f"{path} is no file of a format: name one whose suffix selects it, such as export.parquet (there are "
                f"{', '.join(formats)})"
            )
        self._path = path
        self._format = chosen
        self._partial = path.with_name(path.name + ".partial")
        self._progress_path = path.with_name(path.name + ".partial.json")
        self._request = dict(request)
        self._piece_rows = piece_rows
        self._overwrite = overwrite
        self._restart = restart
        self.resumed = False
        """Whether the export resumed an earlier run."""

    def run(
        self,
        spans_of: Callable[[], Mapping[int, OffsetRange]],
        batches_of: Callable[[Mapping[int, OffsetRange]], TopicBatches],
        on_piece: Callable[[TopicBatches, ExportProgress], None] = lambda _batches, _progress: None,
    ) -> ExportProgress:
        """Export the range, or what is left of it; returns the progress of all runs. `on_piece` follows each piece.

        Raises:
            ExportUnusable: the file exists, or part of another export does, or another process writes it.
            ConsumerError: the topic could not be read. The written pieces stay, and the export can be resumed.
        """
        if self._path.exists() and not self._overwrite:
            raise ExportExists(f"{self._path} exists")
        try:
            with open_regular(self._partial, "a+b") as file:
                lock_alone(file, ExportUnusable(f"another export is writing {self._path}: wait for it"))
                progress = self._begin(file, spans_of)
                self._read(file, progress, batches_of(progress.rest()), on_piece)
                self._format.finish(self._partial, progress.pieces)
                with self._partial.open("rb") as whole:
                    os.fsync(whole.fileno())
                self._partial.replace(self._path)
                self._progress_path.unlink()
        except OSError as error:
            raise ExportUnusable(unwritable(self._path, error)) from error
        return progress

    def _begin(self, file: BinaryIO, spans_of: Callable[[], Mapping[int, OffsetRange]]) -> ExportProgress:
        """The progress of an earlier run, with the file cut after its last piece; or a new one."""
        progress = None if self._restart else self._stored()
        self.resumed = progress is not None
        if progress is None:
            spans = dict(spans_of())
            progress = ExportProgress(self._request, spans, {each: span.begin for each, span in spans.items()})
        file.truncate(progress.pieces[-1] if progress.pieces else 0)
        file.seek(0, os.SEEK_END)
        self._store(progress)
        return progress

    def _read(
        self,
        file: BinaryIO,
        progress: ExportProgress,
        batches: TopicBatches,
        on_piece: Callable[[TopicBatches, ExportProgress], None],
    ) -> None:
        before = progress.rows, progress.tombstones, Counter(progress.rejected)
        held: list[pa.RecordBatch] = []

        def write() -> None:
            self._format.append(file, pa.Table.from_batches(held, batches.schema))
            file.flush()
            os.fsync(file.fileno())
            held.clear()
            progress.positions = batches.positions
            progress.pieces.append(file.tell())
            progress.rows, progress.tombstones = before[0] + batches.rows, before[1] + batches.tombstones
            progress.rejected = dict(before[2] + batches.rejected)
            self._store(progress)
            on_piece(batches, progress)

        for batch in batches:
            held.append(batch)
            if sum(each.num_rows for each in held) >= self._piece_rows or _bytes(held) >= PIECE_BYTES:
                write()
        if held or not progress.pieces or progress.positions != batches.positions:
            write()

    def _stored(self) -> ExportProgress | None:
        try:
            stored = json.loads(self._progress_path.read_text("utf-8"))
            spans = {int(each): OffsetRange(**span) for each, span in stored.pop("spans").items()}
            positions = {int(each): offset for each, offset in stored.pop("positions").items()}
            progress = ExportProgress(spans=spans, positions=positions, **stored)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PartialExportUnusable(f"{self._progress_path} does not describe a partial export") from error
        if progress.request != self._request:
            raise PartialExportUnusable(
                f"{self._partial} is part of another export ({_shown(progress.request)}; now {_shown(self._request)})"
            )
        if self._partial.stat().st_size < (progress.pieces[-1] if progress.pieces else 0):
            raise PartialExportUnusable(f"{self._partial} is shorter than {self._progress_path} says")
        return progress

    def _store(self, progress: ExportProgress) -> None:
        new = self._progress_path.with_name(self._progress_path.name + ".new")
        with open_regular(new, "w", encoding="utf-8") as file:
            json.dump(asdict(progress), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._progress_path)


def _bytes(held: list[pa.RecordBatch]) -> int:
    return sum(int(each.nbytes) for each in held)


def _shown(request: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in request.items() if value is not None)

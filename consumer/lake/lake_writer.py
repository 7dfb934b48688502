"""Adds records to a lake, piece by piece: rows, the offsets that they end at, and the merging of small files."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from taskstream.consumer.lake.compaction import files_to_merge, merged
from taskstream.consumer.lake.day_and_project import by_day_and_project
from taskstream.consumer.lake.lake_commit import LakeCommit
from taskstream.consumer.lake.lake_store import LakeStore


@dataclass(frozen=True, slots=True)
class LakePiece:
    """Consecutive records of one topic."""

    topic: str
    folder: str
    """The topic's folder in the lake: progress, rates or signals."""
    time_column: str
    table: pa.Table
    positions: Mapping[int, int]
    """[partition] The offset after the last record of the piece, or of what was before it."""
    unreadable: int = 0
    """How many of these records could not be decoded, and are not in the table."""


class LakeWriter:
    """Writes to an open `LakeStore`. Each method is one commit, or none."""

    def __init__(self, store: LakeStore) -> None:
        self._store = store
        self._sizes: dict[str, dict[str, int]] = {}
        """[folder][file] Bytes, of the folders that this process has written to."""

    @property
    def current(self) -> LakeCommit:
        """The last commit."""
        return self._store.current

    def begin(self, topic: str, topic_id: str, positions: Mapping[int, int]) -> None:
        """Commit where a topic begins in the lake, before anything of it is read."""
        now = self.current
        self._commit(
            positions={**now.positions, topic: dict(positions)},
            topic_ids={**now.topic_ids, topic: topic_id},
        )

    def add(self, piece: LakePiece) -> int:
        """Commit a piece; returns how many files it became.

        Raises:
            LakeUnusable: files cannot be written, or another process writes the lake.
        """
        now, schema = self.current, piece.table.schema
        files = [
            self._store.stage(f"{piece.folder}/{folder}", schema, iter([rows]))
            for folder, rows in by_day_and_project(piece.table, piece.time_column)
        ]
        known = {folder: self._known(folder) for folder in {each.name.rpartition("/")[0] for each in files}}
        self._commit(
            positions={**now.positions, piece.topic: dict(piece.positions)},
            rows={**now.rows, piece.topic: now.rows.get(piece.topic, 0) + piece.table.num_rows},
            unreadable={**now.unreadable, piece.topic: now.unreadable.get(piece.topic, 0) + piece.unreadable},
            appears=tuple(files),
        )
        for each in files:
            known[each.name.rpartition("/")[0]][each.name] = each.size
        return len(files)

    def merge(self) -> int:
        """Merge small files in the folders that this process has written to; returns how many were merged.

        Raises:
            LakeUnusable: files cannot be read or written, or another process writes the lake.
        """
        count = 0
        for folder, sizes in self._sizes.items():
            while names := files_to_merge(sizes):
                with contextlib.ExitStack() as opened:
                    schema, rows = merged([opened.enter_context(self._store.open_parquet(each)) for each in names])
                    file = self._store.stage(folder, schema, rows)
                self._commit(appears=(file,), disappears=tuple(names))
                for each in names:
                    del sizes[each]
                sizes[file.name] = file.size
                count += len(names)
        return count

    def _known(self, folder: str) -> dict[str, int]:
        if folder not in self._sizes:
            self._sizes[folder] = self._store.sizes(folder)
        return self._sizes[folder]

    def _commit(self, **changes: object) -> None:
        files = {"appears": (), "disappears": ()}
        self._store.commit(replace(self.current, number=self.current.number + 1, **{**files, **changes}))  # type: ignore[arg-type] # the fields of a commit

"""The files of a lake, in a folder or an object store: staged, committed, published. It knows no topic and no record.

A file is written below `_taskstream/staged`, where no reader looks. A commit is one small file that names the staged
files: putting it at its name commits. Then the staged files are moved to their names. Whoever opens the lake after a
crash repeats these moves, and removes the staged files that the commit does not name.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from taskstream.consumer.errors import LakeUnusable
from taskstream.consumer.lake.lake_commit import LakeCommit, LakeFile, commit_of
from taskstream.consumer.regular_file import lock_alone, open_regular
from taskstream.schemas.errors import cause_of

OWN = "_taskstream"
"""Spark, Hive and pyarrow ignore names that begin with an underscore."""
_STAGED, _COMMITS = f"{OWN}/staged", f"{OWN}/commits"
_WITHOUT_FOLDERS = frozenset({"s3", "gcs", "abfs"})
"""Object stores, by pyarrow's names: a folder there is an object without content, which nobody needs."""


def filesystem_of(place: str) -> tuple[Any, str]:
    """The filesystem (pyarrow's), and the root in it. `place` is a folder, or an address such as s3://BUCKET/PATH.

    Raises:
        LakeUnusable: it is neither, or cannot be reached.
    """
    try:
        if "://" in place:
            found, root = fs.FileSystem.from_uri(place)
            return found, root.rstrip("/")
        return fs.LocalFileSystem(), str(Path(place).absolute())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LakeUnusable(
            f"{place} cannot be opened ({cause_of(error)}): name a folder, or a URL such as s3://BUCKET/FOLDER"
        ) from error


class LakeStore:
    """`with LakeStore(filesystem, root) as store`: inside, `store.current` is the lake's commit.

    In a folder, a lock keeps a second process out. An object store has no locks: the second process fails when it
    commits, unless both commit within the time of two requests.
    """

    def __init__(self, filesystem: Any, root: str) -> None:
        self._fs = filesystem
        self._root = root
        self._writer = uuid.uuid4().hex[:8]
        self._staged = 0
        self._local = filesystem.type_name == "local"
        self._made: set[str] = set()
        self._opened = contextlib.ExitStack()
        self.current = LakeCommit()
        """The last commit; number 0: none yet."""
        self.recovered = False
        """Whether the last commit of an earlier process had files without their names."""

    def __enter__(self) -> Self:
        """Raises LakeUnusable: another process writes the lake, or its files are not as the last commit left them."""
        with self._opened:
            with self._told():
                self._make_folder(_STAGED)
                self._make_folder(_COMMITS)
                if self._local:
                    file = self._opened.enter_context(open_regular(Path(self._path(OWN), "lock"), "a+b"))
                    lock_alone(file, LakeUnusable(f"another process writes the lake {self._root}: only one may"))
                self._recover()
            self._opened = self._opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def stage(self, folder: str, schema: pa.Schema, tables: Iterator[pa.Table]) -> LakeFile:
        """Write a Parquet file for this folder of the lake, one row group per table. Nobody sees it before a commit.

        Raises:
            LakeUnusable: it cannot be written.
        """
        self._staged += 1
        staged = f"{_STAGED}/{self._writer}-{self._staged}.parquet"
        with self._told():
            with pq.ParquetWriter(self._path(staged), schema, filesystem=self._fs, compression="zstd") as writer:
                for table in tables:
                    writer.write_table(table, row_group_size=max(1, table.num_rows))
            self._sync(staged)
            size = self._fs.get_file_info(self._path(staged)).size
        number = self.current.number + 1
        return LakeFile(staged, f"{folder}/part-{number:010}-{self._writer}-{self._staged}.parquet", size)

    def commit(self, commit: LakeCommit) -> None:
        """Make it the lake's commit: afterwards its files have their names, and those that disappear are gone.

        Raises:
            LakeUnusable: another process has committed, or files cannot be written.
        """
        assert commit.number == self.current.number + 1, "one commit follows the other"
        path = _commit_path(commit.number)
        with self._told():
            if self._commits() != ([_commit_path(self.current.number)] if self.current.number else []):
                raise LakeUnusable(f"another process writes the lake {self._root}: only one may")
            new = f"{_STAGED}/{self._writer}-commit.json"
            with self._fs.open_output_stream(self._path(new)) as file:
                file.write(commit.as_json())
            self._sync(new)
            self._sync(_STAGED)
            self._fs.move(self._path(new), self._path(path))
            self._sync(_COMMITS)
            before, self.current = self.current, commit
            self._publish(commit)
            self._delete(_commit_path(before.number))

    def sizes(self, folder: str) -> dict[str, int]:
        """[name] The size in bytes of each published file of a folder."""
        with self._told():
            found = self._fs.get_file_info(fs.FileSelector(self._path(folder), allow_not_found=True))
        return {f"{folder}/{each.base_name}": each.size for each in found if each.base_name.endswith(".parquet")}

    def open_parquet(self, name: str) -> Any:
        """A published file, as pyarrow's ParquetFile.

        Raises:
            LakeUnusable: it cannot be read.
        """
        with self._told():
            return pq.ParquetFile(self._path(name), filesystem=self._fs)

    def _recover(self) -> None:
        """Bring files and names to what the last commit says."""
        paths = self._commits()
        if paths:
            with self._fs.open_input_stream(self._path(paths[-1])) as file:
                self.current = commit_of(file.read(), f"{self._root}/{paths[-1]}")
            self._publish(self.current, again=True)
        for each in (*paths[:-1], *self._staged_names()):
            self._delete(each)

    def _commits(self) -> list[str]:
        return self._names(_COMMITS)

    def _staged_names(self) -> list[str]:
        return self._names(_STAGED)

    def _names(self, folder: str) -> list[str]:
        found = self._fs.get_file_info(fs.FileSelector(self._path(folder), allow_not_found=True))
        return sorted(f"{folder}/{each.base_name}" for each in found if each.is_file)

    def _publish(self, commit: LakeCommit, *, again: bool = False) -> None:
        """Give the files their names. First those go whose records are in a new one: no record is seen twice."""
        waiting = {*self._staged_names()} if again else {each.staged for each in commit.appears}
        for name in commit.disappears:
            self._delete(name)
        for each in commit.appears:
            if each.staged in waiting:
                self._make_folder(posixpath.dirname(each.name))
                self._fs.move(self._path(each.staged), self._path(each.name))
                self.recovered |= again
        for folder in sorted({posixpath.dirname(each.name) for each in commit.appears}):
            self._sync(folder)

    def _exists(self, name: str) -> bool:
        return bool(self._fs.get_file_info(self._path(name)).type != fs.FileType.NotFound)

    def _delete(self, name: str) -> None:
        if self._exists(name):
            self._fs.delete_file(self._path(name))

    def _make_folder(self, name: str) -> None:
        if self._fs.type_name not in _WITHOUT_FOLDERS and name not in self._made:
            self._fs.create_dir(self._path(name), recursive=True)
            self._made.add(name)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _sync(self, name: str) -> None:
        """On a local disk, wait until the file or folder is on it."""
        if not self._local or not self._exists(name):
            return
        fd = os.open(self._path(name), os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise LakeUnusable(f"the lake {self._root} cannot be read or written: {cause_of(error)}") from error


def published(filesystem: Any, root: str, folder: str) -> Sequence[str]:
    """The paths of the published Parquet files below a folder of a lake; none where the folder does not exist."""
    selector = fs.FileSelector(f"{root}/{folder}", recursive=True, allow_not_found=True)
    return sorted(each.path for each in filesystem.get_file_info(selector) if each.path.endswith(".parquet"))


def _commit_path(number: int) -> str:
    return f"{_COMMITS}/{number:010}.json"

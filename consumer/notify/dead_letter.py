"""What could not be delivered, as JSON lines in a file. A line is on the disk before its signals count as settled."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from taskstream.consumer.errors import DeadLetterUnwritable
from taskstream.consumer.regular_file import open_regular


class DeadLetterFile:
    """`with DeadLetterFile(path) as file: file.write({...})`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None

    def __enter__(self) -> Self:
        """Open the file for appending; a line that a killed process began is ended.

        Raises:
            DeadLetterUnwritable: it cannot be written.
        """
        try:
            self._file = open_regular(self._path, "ab+")
            if self._file.seek(0, os.SEEK_END):
                self._file.seek(-1, os.SEEK_END)
                if self._file.read(1) != b"\n":
                    self._append(b"\n")
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, document: dict[str, Any]) -> None:
        """Append a line, and return when it is on the disk.

        Raises:
            DeadLetterUnwritable: it is not.
        """
        try:
            self._append(json.dumps(document).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _append(self, text: bytes) -> None:
        self._file.write(text)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _unwritable(self, error: OSError) -> DeadLetterUnwritable:
        return DeadLetterUnwritable(
            f"the dead-letter file {self._path} cannot be written ({error.strerror}): nothing that cannot be delivered "
            "may be lost, so free space or name another file with dead_letter"
        )

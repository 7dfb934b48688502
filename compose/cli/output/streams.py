"""Standard output and standard error as the command line writes them: whatever the encoding, the reader or the disk.

Where the encoding lacks a character, drawing characters become ASCII and others are escaped. If standard output cannot
be written, the command ends with one sentence; if its reader has left (`| head`), without one. What standard error
refuses is dropped: nowhere is left to report it.
"""

from __future__ import annotations

import codecs
import io
import sys
from typing import Any, Final, TextIO

from taskstream.compose.errors import OutputUnwritable

_NAME: Final = "taskstream_ascii"
"""ASCII under another name: click takes a stream in ASCII for a mistake and writes UTF-8 to it."""
_FALLBACK: Final = "taskstream-ascii"
_ASCII: Final = str.maketrans("→↘↗…▁▂▃▄▅▆▇█←\u2013\u2014·\u00a0", ">v^~.:-=+*%#<--* ")


def open_streams() -> None:
    """Replace sys.stdout and sys.stderr. Call it once, before anything is printed."""
    codecs.register_error(_FALLBACK, _in_ascii)
    codecs.register(_find_codec)
    sys.stdout = _opened(sys.stdout, _Output)
    sys.stderr = _opened(sys.stderr, _Messages)


def is_unicode(stream: TextIO | None) -> bool:
    """Whether the stream can write every character."""
    try:
        return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name.startswith("utf")
    except LookupError:
        return False


class _Output(io.FileIO):
    """The file descriptor of standard output."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "wb", closefd=False)
        self._failed = False

    def write(self, data: Any) -> int:
        """Write, until it fails once; then drop the rest, which Python writes again at its exit."""
        if self._failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:  # click ends the command quietly
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            raise OutputUnwritable(f"standard output cannot be written: {error.strerror}") from error


class _Messages(io.FileIO):
    """The file descriptor of standard error."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "wb", closefd=False)

    def write(self, data: Any) -> int:
        """Write, or drop what cannot be written."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _opened(old: TextIO | None, raw: type[_Output | _Messages]) -> Any:
    if old is None:  # closed by the caller; nothing is printed then
        return None
    old.flush()
    fallback = "backslashreplace" if raw is _Messages and is_unicode(old) else _FALLBACK
    return io.TextIOWrapper(
        io.BufferedWriter(raw(old.fileno())),
        encoding=_NAME if codecs.lookup(old.encoding).name == "ascii" else old.encoding,
        errors=fallback,
        line_buffering=raw is _Messages or old.isatty(),
    )


def _find_codec(name: str) -> codecs.CodecInfo | None:
    if name != _NAME:
        return None
    ascii_codec = codecs.lookup("ascii")
    return codecs.CodecInfo(
        name=_NAME,
        encode=ascii_codec.encode,
        decode=ascii_codec.decode,
        incrementalencoder=ascii_codec.incrementalencoder,
        incrementaldecoder=ascii_codec.incrementaldecoder,
        streamreader=ascii_codec.streamreader,
        streamwriter=ascii_codec.streamwriter,
    )


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """The codec error handler: ASCII in place of the characters that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    drawn = error.object[error.start : error.end].translate(_ASCII)
    return drawn.encode("ascii", "backslashreplace").decode("ascii"), error.end

"""Where long-running processes log to: standard error, because standard output is for results.

No line has a value of a local variable, the message of an unexpected exception (either can hold a token or a stranger's
bytes), or a character that controls a terminal.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog

from taskstream.schemas.terminal_text import terminal_text

_MAX_CHARACTERS: Final = 2_000
_ExcInfo = tuple[type[BaseException], BaseException, Any]


def log_to_standard_error() -> None:
    """Configure every logger, also those of libraries, to write to the current standard error."""
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_trace)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            _escape,
            renderer,
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _LibraryEvents)]
    root.addHandler(_LibraryEvents(logging.WARNING))


def show_threads_on_signal() -> None:
    """On SIGUSR1, write to standard error which line each thread of this process is at; the process goes on."""
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGUSR1, sys.__stderr__)


def trace_of(error: BaseException) -> str:
    """Where an exception and its causes were raised: types, files, lines and functions, and no value."""
    lines: list[str] = []
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        lines.append(f"{type(each).__module__}.{type(each).__qualname__}")
        lines += [
            f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(each.__traceback__)
        ]
        each = each.__cause__ or each.__context__
    return "\n".join(lines)


def _write_trace(out: TextIO, exc_info: _ExcInfo) -> None:
    out.write("\n" + trace_of(exc_info[1]))


def _escape(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event with texts that are escaped and not too long."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = terminal_text(value[:_MAX_CHARACTERS])
    return event


class _LibraryEvents(logging.Handler):
    """Passes the records of libraries, such as uvicorn and asyncio, to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        exc_info = record.exc_info if record.exc_info and record.exc_info[1] is not None else None
        message = record.msg if exc_info else record.getMessage()
        text = str(message).splitlines()[0] if str(message) else record.name
        structlog.get_logger(record.name).log(record.levelno, text, exc_info=exc_info)

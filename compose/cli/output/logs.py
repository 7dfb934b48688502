"""Where and how long-running processes log: to standard error, because standard output is for results; as text or JSON.

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

import click
import structlog

from taskstream.compose.cli.output.terminal import echo
from taskstream.consumer.rejects.rejected_record import ranges_of
from taskstream.schemas.terminal_text import terminal_text

_MAX_CHARACTERS: Final = 2_000
_ExcInfo = tuple[type[BaseException], BaseException, Any]


_log = structlog.get_logger("command")
LOG_FORMATS = ("text", "json")
log_format_option = click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default="text",
    envvar="TASKSTREAM_LOG_FORMAT",
    help="How log lines are written; json: one object per line, with the keys in docs/operations.md.",
)


def log_to_standard_error(log_format: str = "text", service: str = "") -> None:
    """Configure every logger, also those of libraries, to write to the current standard error.

    service: the value of the key of that name in JSON: edge, worker, view or notify.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.set_exc_info,
            *(_json_processors(service) if log_format == "json" else _text_processors()),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _LibraryEvents)]
    root.addHandler(_LibraryEvents(logging.WARNING))


def logs_are_json() -> bool:
    """Whether `log_to_standard_error` has chosen JSON."""
    return isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer)


def announce(text: str, event: str, **keys: object) -> None:
    """Write a sentence to standard error; in JSON, an event with keys in its place."""
    if logs_are_json():
        _log.info(event, **keys)
    else:
        echo(text, err=True)


def announce_failure(why: str) -> bool:
    """Log the error that ends the process, where logs are JSON; returns whether they are."""
    if logs_are_json():
        _log.critical("failed", why=why)
    return logs_are_json()


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


def _text_processors() -> list[Any]:
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return [
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        _escape,
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_trace),
    ]


def _json_processors(service: str) -> list[Any]:
    def name_service(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"time": None, "level": None, "service": service, "event": None, **event}

    return [
        name_service,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _trace_as_text,
        _shorten,
        structlog.processors.JSONRenderer(default=str),
    ]


def _trace_as_text(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The key `exception` in place of the exception, where there is one."""
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event["exception"] = trace_of(error)
    return event


def _shorten(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event with texts that are not too long; JSON itself escapes every character that is not ASCII."""
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = value[:_MAX_CHARACTERS]
    return event


def _write_trace(out: TextIO, exc_info: _ExcInfo) -> None:
    out.write("\n" + trace_of(exc_info[1]))


def _escape(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event with texts that are escaped and not too long, and lists of numbers as ranges: 0-479, 481."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = terminal_text(value[:_MAX_CHARACTERS])
        elif isinstance(value, list) and value and all(type(each) is int for each in value):
            ranges = (str(first) if first == last else f"{first}-{last}" for first, last in ranges_of(value))
            event[name] = ", ".join(ranges)[:_MAX_CHARACTERS]
    return event


class _LibraryEvents(logging.Handler):
    """Passes the records of libraries, such as uvicorn and asyncio, to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        exc_info = record.exc_info if record.exc_info and record.exc_info[1] is not None else None
        message = record.msg if exc_info else record.getMessage()
        text = str(message).splitlines()[0] if str(message) else record.name
        keys = {"library": record.name} if logs_are_json() else {}
        structlog.get_logger(record.name).log(record.levelno, text, exc_info=exc_info, **keys)

"""What librdkafka says of itself, as events of our log instead of lines of its own on the error stream."""

from __future__ import annotations

import logging

import structlog

_log = structlog.get_logger("librdkafka")
_OF_NO_INTEREST = frozenset({"CONFWARN"})
"""Consumers are given the producer's settings too, and the other way round; it says so of every one of them."""


def kafka_logger() -> logging.Logger:
    """To be given to a client as its `logger`; it is no part of Python's tree of loggers."""
    logger = logging.Logger("librdkafka")  # noqa: LOG001 (outside the tree, so that nobody configures it)
    logger.addHandler(_Events())
    return logger


class _Events(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """A record of confluent-kafka has the arguments facility, client and message."""
        facility, client, message = (*map(str, record.args), "", "", "")[:3] if record.args else ("", "", record.msg)
        if facility not in _OF_NO_INTEREST:
            _log.log(record.levelno, "librdkafka", facility=facility, client=client, message=message)

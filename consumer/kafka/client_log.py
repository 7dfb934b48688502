"""librdkafka's log lines as events of our log, instead of lines on standard error."""

from __future__ import annotations

import logging

import structlog

_log = structlog.get_logger("librdkafka")
_IGNORED = frozenset({"CONFWARN"})
"""Consumers get producer settings too, and producers consumer settings; librdkafka warns of each of them."""


def kafka_logger() -> logging.Logger:
    """A logger for a client's `logger` setting; it is not in Python's tree of loggers."""
    logger = logging.Logger("librdkafka")  # noqa: LOG001 (outside the tree, so that no configuration applies to it)
    logger.addHandler(_Events())
    return logger


class _Events(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """A record of confluent-kafka has the arguments facility, client and message."""
        facility, client, message = (*map(str, record.args), "", "", "")[:3] if record.args else ("", "", record.msg)
        if facility not in _IGNORED:
            _log.log(record.levelno, "librdkafka", facility=facility, client=client, message=message)

"""Where a process that serves logs to: where errors go, because standard output is for answers."""

from __future__ import annotations

import sys

import structlog


def log_to_standard_error() -> None:
    """Let every logger write there, wherever that is at the time."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))

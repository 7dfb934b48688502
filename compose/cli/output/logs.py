"""Where long-running processes log to: standard error, because standard output is for results."""

from __future__ import annotations

import sys

import structlog


def log_to_standard_error() -> None:
    """Configure every logger to write to the current standard error."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))

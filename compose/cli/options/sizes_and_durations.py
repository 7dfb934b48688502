"""Sizes and durations as typed on a command line, such as 20M and 500ms: callbacks of click options."""

import re

import click

_POWERS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)([KMG]I?)?B?", re.IGNORECASE | re.ASCII)
_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", re.ASCII)


def bytes_of(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """A number of bytes, at least 1: 500K, 20M and 1G are decimal, 500Ki, 20Mi and 1Gi are binary."""
    if text is None:
        return None
    match = _BYTES.fullmatch(text.strip())
    size = int(float(match[1]) * _POWERS[(match[2] or "").upper()]) if match else 0
    if size < 1:
        raise click.BadParameter(f"{text!r} is not a number of bytes: write 500K, 20M or 1G (or Ki, Mi, Gi)")
    return size


def seconds_of(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """A duration in seconds, more than 0: 500ms, 1s, 2m, 1h; a number without a unit is in seconds."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS_S[match[2] or ""] if match else 0.0
    if seconds <= 0:
        raise click.BadParameter(f"{text!r} is not a duration: write 500ms, 1s or 2m")
    return seconds

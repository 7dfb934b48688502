"""Quantities as people write them on a command line: 20M bytes a second, 500ms. Callbacks for click's options."""

import re

import click

_POWERS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)([KMG]I?)?B?", re.IGNORECASE | re.ASCII)
_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", re.ASCII)


def bytes_of(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """At least one byte: 500K, 20M and 1G count in thousands, 500Ki, 20Mi and 1Gi in 1024s."""
    if text is None:
        return None
    match = _BYTES.fullmatch(text.strip())
    size = int(float(match[1]) * _POWERS[(match[2] or "").upper()]) if match else 0
    if size < 1:
        raise click.BadParameter(f"{text!r} is not a number of bytes: write 500K, 20M or 1G (or Ki, Mi, Gi)")
    return size


def seconds_of(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """More than no time: 500ms, 1s, 2m, 1h; a bare number is seconds."""
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS_S[match[2] or ""] if match else 0.0
    if seconds <= 0:
        raise click.BadParameter(f"{text!r} is not a length of time: write 500ms, 1s or 2m")
    return seconds

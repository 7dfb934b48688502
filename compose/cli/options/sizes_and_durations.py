"""Sizes and durations as typed on a command line, such as 20M and 500ms: callbacks of click options."""

import re
from typing import Any

import click

from taskstream.schemas.durations import WORDS, seconds_of_duration

_POWERS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)
_BYTES = re.compile(r"(\d+(?:\.\d+)?)([KMG]I?)?B?", re.IGNORECASE | re.ASCII)


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
    """A duration in seconds, more than 0: see `schemas.durations`; a number without a unit is in seconds."""
    seconds = _seconds(text)
    if seconds is None or seconds <= 0:
        raise click.BadParameter(f"{text!r} is not a duration: write {WORDS}")
    return seconds


class Seconds(click.ParamType[float]):
    """A duration, as a number of seconds or with units."""

    name = "time"

    def __init__(self, least: float = 0.0, *, may_be_least: bool = True) -> None:
        """least: in seconds."""
        self._least = least
        self._may_be_least = may_be_least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType`."""
        seconds = float(value) if isinstance(value, int | float) else _seconds(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a duration: write {WORDS}, or a number of seconds", param, ctx)
        if seconds < self._least or (seconds == self._least and not self._may_be_least):
            least = f"{'at least' if self._may_be_least else 'more than'} {self._least:g} s"
            self.fail(f"{value!r} is too short: give {least}", param, ctx)
        return seconds


def _seconds(text: str) -> float | None:
    word = text.strip()
    return float(word) if _NUMBER.fullmatch(word) else seconds_of_duration(word)

"""The options of a range of a topic: its ends, which are a time, a duration, earliest, latest or a file of offsets."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import click

from taskstream.consumer.errors import BadRange
from taskstream.consumer.kafka.ranges import Bound, bound_of
from taskstream.schemas.durations import WORDS, seconds_of_duration


class _OffsetBound(click.ParamType[Bound]):
    name = "bound"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Bound:
        if not isinstance(value, str):
            bound: Bound = value
            return bound
        try:
            return bound_of(value, round(time.time() * 1000))
        except BadRange as error:
            self.fail(str(error), param, ctx)


BOUND = _OffsetBound()


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        length_s = seconds_of_duration(str(value))
        if length_s is None:
            self.fail(f"{value!r} is not a duration: give {WORDS}", param, ctx)
        return timedelta(seconds=length_s)


late_option = click.option(
    "--late",
    default="2h",
    metavar="DURATION",
    type=_Duration(),
    help="How late a record may be: where the range ends at a time, read on to the first record that is this much "
    "later, and leave out what is not of the range. Two hours find all that edges write; copied or loaded records may "
    "be later.",
)

"""The parameter type of an end of an offset range: a time, a duration, earliest, latest or a file of offsets."""

from __future__ import annotations

import time
from typing import Any

import click

from taskstream.consumer.errors import BadRange
from taskstream.consumer.kafka.ranges import Bound, bound_of


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

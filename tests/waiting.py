"""Waits for a condition with a generous limit, so that no test fails on a busy machine; a failure shows the last value."""

from __future__ import annotations

import ast
import inspect
import textwrap
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotYet(AssertionError):
    """What a condition asks for is not there yet; outside a wait it is an error like any other."""


LIMIT_S = 300.0
"""The limit of a wait. Only failing tests reach it; no test measures time with it."""
PROGRAM_LIMIT_S = 1200.0
"""The same for a program that runs to its end."""
ATTEMPTS = 50
"""How often a test tries again where the machine decides which of two things comes first."""
GROWTH = 1.2
GROWN_PAUSE_S = 0.2
LONGEST_PAUSE_S = 1.0


def wait_until(
    condition: Callable[[], T], why: str | Callable[[], str] = "", *, limit_s: float = LIMIT_S, pause_s: float = 0.02
) -> T:
    """Call `condition` until it returns a true value, and return that; `NotYet` in it counts as false.

    The pause between two calls begins with `pause_s` and grows, to at least the time that a call takes: a condition that
    reads a whole topic does not take a core from what it waits for.

    Raises:
        AssertionError: it did not within `limit_s`. The message has `why` (or its result), the source of the condition,
            and its last value, or that of a comparison's left side, of `in` the right.
    """
    called = time.monotonic()
    deadline = called + limit_s
    while not (value := _value_of(condition)) or isinstance(value, NotYet):
        now = time.monotonic()
        if now > deadline:
            reason = why() if callable(why) else why
            raise AssertionError(
                f"{reason or 'a condition'}: not so after {limit_s:g} s: {_last_value(condition, value)}"
            )
        time.sleep(max(pause_s, min(now - called, LONGEST_PAUSE_S)))
        pause_s = max(pause_s, min(pause_s * GROWTH, GROWN_PAUSE_S))
        called = time.monotonic()
    return value


def _value_of(condition: Callable[[], T]) -> T | NotYet:
    try:
        return condition()
    except NotYet as error:
        return error


def _last_value(condition: Callable[[], object], value: object) -> str:
    """The condition's source and its value; for a lambda with a comparison, one side's current value."""
    if isinstance(value, NotYet):
        return f"not yet: {value}"
    try:
        source = textwrap.dedent(inspect.getsource(condition)).strip()
        tree = ast.parse(source.lstrip(".") if source.startswith(".") else source)
    except (OSError, TypeError, SyntaxError):
        return f"{value!r}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and isinstance(node.body, ast.Compare):
            contains = isinstance(node.body.ops[0], (ast.In, ast.NotIn))
            side = ast.unparse(node.body.comparators[0] if contains else node.body.left)
            names = {**inspect.getclosurevars(condition).nonlocals, **_defaults(condition)}
            now = eval(side, condition.__globals__, names)
            return f"{ast.unparse(node.body)}; {side} is {now!r}"
    return f"{source}; it is {value!r}"


def _defaults(condition: Callable[[], object]) -> dict[str, object]:
    return {name: each.default for name, each in inspect.signature(condition).parameters.items()}

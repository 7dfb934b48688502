"""Waiting for a condition: generous, so that a busy machine fails no test, and clear about what was seen last."""

from __future__ import annotations

import ast
import inspect
import textwrap
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LIMIT_S = 300.0
"""How long a condition may take. It is reached only by a test that fails: no test measures time with it."""


def wait_until(condition: Callable[[], T], why: str | Callable[[], str] = "", *, limit_s: float = LIMIT_S) -> T:
    """Ask until the condition holds, and give its value.

    Raises:
        AssertionError: it did not hold within `limit_s`; with `why` (or what it gives then), the condition, and the value of its left side.
    """
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            reason = why() if callable(why) else why
            raise AssertionError(
                f"{reason or 'a condition'}: not so after {limit_s:g} s: {_seen_last(condition, value)}"
            )
        time.sleep(0.02)
    return value


def _seen_last(condition: Callable[[], object], value: object) -> str:
    """The condition as it is written and, if it is a comparison in a lambda, what its left side is now."""
    try:
        source = textwrap.dedent(inspect.getsource(condition)).strip()
        tree = ast.parse(source.lstrip(".") if source.startswith(".") else source)
    except (OSError, TypeError, SyntaxError):
        return f"{value!r}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and isinstance(node.body, ast.Compare):
            left = ast.unparse(node.body.left)
            names = {**inspect.getclosurevars(condition).nonlocals, **_defaults(condition)}
            now = eval(left, condition.__globals__, names)
            return f"{ast.unparse(node.body)}; {left} is {now!r}"
    return f"{source}; it is {value!r}"


def _defaults(condition: Callable[[], object]) -> dict[str, object]:
    return {name: each.default for name, each in inspect.signature(condition).parameters.items()}

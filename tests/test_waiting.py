"""The message of a failed wait: the condition and its last value."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.waiting import NotYet, wait_until


def test_it_returns_the_first_true_value():
    values = iter([0, "", [1]])

    assert wait_until(lambda: next(values)) == [1]


def test_a_failed_wait_names_the_condition_and_the_last_value_of_its_left_side():
    counted = [3]
    with pytest.raises(AssertionError, match=r"too few: not so after 0 s: len\(counted\) == 4; len\(counted\) is 1"):
        wait_until(lambda: len(counted) == 4, "too few", limit_s=0)


def test_a_failed_wait_for_a_part_of_something_shows_what_there_is():
    said = ["ready"]
    with pytest.raises(AssertionError, match=r"said is \['ready'\]"):
        wait_until(lambda: "stopped" in said, limit_s=0)


def test_a_failed_wait_without_a_comparison_shows_the_last_value():
    def never() -> list[int]:
        return []

    with pytest.raises(AssertionError, match=r"it is \[\]"):
        wait_until(never, limit_s=0)


def test_not_yet_is_waited_for_and_any_other_error_is_raised_at_once():
    answers = iter([NotYet("404"), 7])

    def answer() -> int:
        match next(answers):
            case NotYet() as error:
                raise error
            case value:
                return value

    def never_there() -> bool:
        raise NotYet("404")

    def broken() -> bool:
        raise ValueError("broken")

    assert wait_until(answer) == 7
    with pytest.raises(AssertionError, match="a condition: not so after 0 s: not yet: 404"):
        wait_until(never_there, limit_s=0)
    with pytest.raises(ValueError, match="broken"):
        wait_until(broken)


def test_every_request_of_a_test_has_a_limit_of_its_own():
    """Without one, `urllib3.request` gives a server three seconds."""
    hasty = [
        f"{path}:{call.lineno}"
        for path in sorted(Path("tests").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "urllib3.request"
        if "timeout" not in {each.arg for each in call.keywords}
    ]
    assert hasty == []

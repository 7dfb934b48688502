"""Query parameters: unknown ones are named, several values may be given either way."""

from __future__ import annotations

import pytest

from taskstream.consumer.view.http.query_parameters import query_parameters
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.request import HttpRequest

KNOWN = frozenset({"health", "q"})


def parsed(query: bytes) -> dict[str, str]:
    return query_parameters(HttpRequest("GET", b"/tasks", query, []), KNOWN, several=frozenset({"health"}))


@pytest.mark.parametrize("query", [b"health=OK,SLOW", b"health=OK&health=SLOW"])
def test_several_values_come_in_one_parameter_or_in_several(query):
    assert parsed(query) == {"health": "OK,SLOW"}


def test_a_parameter_of_one_value_is_given_once():
    with pytest.raises(ApiError) as refused:
        parsed(b"q=a&q=b")
    assert refused.value.problem.fields[0].field == "q"
    assert "twice" in refused.value.problem.fields[0].rule


def test_an_unknown_parameter_is_named_with_those_there_are():
    with pytest.raises(ApiError) as refused:
        parsed(b"helth=OK")
    assert "helth" in refused.value.problem.fields[0].field
    assert "health, q" in refused.value.problem.fields[0].rule


def test_an_empty_value_counts_as_not_given():
    assert parsed(b"q=&health=OK") == {"health": "OK"}

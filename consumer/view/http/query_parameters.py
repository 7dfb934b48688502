"""The query parameters of the view: each known, and given once if it has one value. It knows no route."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from taskstream.schemas.http.api_error import MALFORMED, ApiError, invalid_field
from taskstream.schemas.http.request import HttpRequest

QUERY_CHARS: Final = 8_192
"""The longest query."""
_FIELDS: Final = 100


def query_parameters(
    request: HttpRequest,
    known: frozenset[str],
    ignored: frozenset[str] = frozenset(),
    several: frozenset[str] = frozenset(),
) -> dict[str, str]:
    """The known parameters by name; a parameter with an empty value counts as not given.

    Those in `several` have several values, separated by commas or given one by one: `health=OK,SLOW` is
    `health=OK&health=SLOW`.

    Raises:
        ApiError: INVALID_FIELD for a parameter that is neither known nor ignored, or that has one value and is given
            twice; MALFORMED for a query that cannot be parsed.
    """
    try:
        pairs = parse_qsl(
            request.query.decode("latin-1"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS
        )
    except ValueError as error:
        raise ApiError(MALFORMED, f"the query cannot be parsed: {error}") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known | ignored:
            raise invalid_field(name[:100], f"no such parameter; there are {', '.join(sorted(known))}")
        if name in found and name not in several:
            raise invalid_field(name, "is given twice")
        found[name] = f"{found[name]},{value}" if name in found else value
    return {name: value for name, value in found.items() if value and name in known}


def integer_parameter(parameters: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """The value of an integer parameter from `least` to `most`; the default when it is not given.

    Raises:
        ApiError: INVALID_FIELD.
    """
    text = parameters.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise invalid_field(name, f"must be a whole number from {least} to {most}")
    return int(text)

"""Links from a task to other systems, made of templates such as `https://logs/?task={task_id}&host={host}`."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
IDS = ("project_id", "task_id")
"""Placeholders that every task has a value for; any other is the name of a label."""
_PLACE = "PLACE"


@dataclass(frozen=True, slots=True)
class LinkTemplate:
    """A checked template: its name, its text, and the names within its braces."""

    name: str
    template: str
    placeholders: frozenset[str]

    def filled(self, values: Mapping[str, str]) -> str | None:
        """The link; None if a value is missing. Values are percent-encoded, so that none can leave its place."""
        if not self.placeholders <= values.keys():
            return None
        return self.template.format_map({name: quote(values[name], safe="") for name in self.placeholders})


def link_template(name: str, template: str) -> LinkTemplate:
    """The template as checked.

    Raises:
        ValueError: the name or the template cannot be used; the message names the value and what to write.
    """
    if not LABEL_NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} of a link must be of letters, digits and _")
    try:
        parts = [
            (place, spec, change) for _, place, spec, change in string.Formatter().parse(template) if place is not None
        ]
    except ValueError as error:
        raise ValueError(f"{template!r} is no template ({error}): write {{task_id}} where the id goes") from error
    for place, spec, change in parts:
        if not LABEL_NAME.fullmatch(place) or spec or change:
            raise ValueError(
                f"{{{place}}} in {template!r} is no placeholder: write {{task_id}}, {{project_id}} or a label"
            )
    placeholders = frozenset(place for place, _, _ in parts)
    try:
        address = urlsplit(template.format_map(dict.fromkeys(placeholders, _PLACE)))
        _ = address.port
    except ValueError as error:
        raise ValueError(f"{template!r} is no URL: write http(s)://HOST/PATH") from error
    if (
        address.scheme not in ("http", "https")
        or not address.hostname
        or not (template.isascii() and template.isprintable())
    ):
        raise ValueError(f"{template!r} is no URL: write http(s)://HOST/PATH")
    if _PLACE in address.netloc:
        raise ValueError(
            f"{template!r} has a placeholder in its host, where a label could name any: put it into the path"
        )
    return LinkTemplate(name, template, placeholders)


def links_of(templates: Sequence[LinkTemplate], values: Mapping[str, str]) -> dict[str, str]:
    """The links by name, of those templates that all values are known for."""
    filled = ((each.name, each.filled(values)) for each in templates)
    return {name: link for name, link in filled if link is not None}

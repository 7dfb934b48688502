"""Text of unknown origin for a terminal: characters that control or reorder what a terminal shows are escaped.

These are the control characters (C0, DEL and C1), format characters (the bidirectional marks among them), line and
paragraph separators, and all else that `str.isprintable` refuses.
"""

from __future__ import annotations

import json
from collections.abc import Callable


def terminal_text(text: object) -> str:
    """The text on one line, such characters as Python escapes them."""
    plain = str(text)
    return plain if plain.isprintable() else "".join(each if each.isprintable() else _escaped(each) for each in plain)


def terminal_lines(text: object) -> str:
    """The same for text whose line feeds are ours."""
    return "\n".join(map(terminal_text, str(text).split("\n")))


def terminal_json(
    value: object,
    indent: int | None = None,
    default: Callable[[object], object] | None = None,
    *,
    ascii_only: bool = False,
) -> str:
    """The value as JSON, such characters as JSON escapes; a reader gets the same value. ascii_only: others too."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, default=default)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else _json_escaped(each) for each in text)


def _json_escaped(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")

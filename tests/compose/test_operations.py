"""docs/operations.md names every alert and every log line, and nothing that is neither."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text("utf-8")


def first_cells(heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    part = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][1:]
    return {name.strip() for row in rows for name in row.split(",")}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """The event and the call of each line that a logger in the four rooms writes."""
    for room in ("schemas", "producer", "consumer", "compose"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                match node.func, node.args:
                    case ast.Attribute(ast.Name(name)), [ast.Constant(str(event)), *_] if name in ("_log", "log"):
                        yield event, node
                    case ast.Name("announce"), [_, ast.Constant(str(event))]:
                        yield event, node


def test_every_alert_has_its_line():
    rules = yaml.safe_load((ROOT / "compose" / "prometheus" / "alerts.yaml").read_text("utf-8"))

    assert first_cells("Alerts") == {each["alert"] for group in rules["groups"] for each in group["rules"]}


def test_every_log_line_is_explained():
    assert first_cells("Log lines") == {event for event, _ in log_calls()}


def test_every_key_of_a_log_line_is_explained():
    passed = {each.arg for _, call in log_calls() for each in call.keywords if each.arg} - {"exc_info"}
    common = {"time", "level", "service", "event", "exception", "library"}

    assert first_cells("Keys of a log line") == passed | common | {"signals"}

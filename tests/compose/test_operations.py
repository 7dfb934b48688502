"""docs/operations.md names every alert and every log line, and nothing that is neither."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text("utf-8")


def first_cells(heading: str) -> set[str]:
    """The names in the first column of the table below a heading."""
    part = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][1:]
    return {name.strip() for row in rows for name in row.split(",")}


def logged() -> set[str]:
    """The first argument of each call of a logger in the four rooms."""
    found = set()
    for room in ("schemas", "producer", "consumer", "compose"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and isinstance(node.func.value, ast.Name)
                    and re.fullmatch(r"_?log", node.func.value.id)
                    and node.args
                    and isinstance(node.args[0], ast.Constant)
                ):
                    found.add(str(node.args[0].value))
    return found


def test_every_alert_has_its_line():
    rules = yaml.safe_load((ROOT / "compose" / "prometheus" / "alerts.yaml").read_text("utf-8"))

    assert first_cells("Alerts") == {each["alert"] for group in rules["groups"] for each in group["rules"]}


def test_every_log_line_is_explained():
    assert first_cells("Log lines") == logged()

"""The report as documents: every name is text of the document's own kind, and what is left out is counted."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser

import numpy as np
import pytest

from taskstream.compose.cli.tasks.report_documents import CSV_COLUMNS, csv_document, html_document, markdown_document
from taskstream.consumer.state.series import Health
from taskstream.consumer.view.report.report_json import MOST_PROJECTS, report_json
from tests.consumer.view.read_models import NOW, model, row

S = 1_000_000
COPY = "MIGRATE_LINUX_FILE"


def report(rows: dict[str, np.ndarray], within_s: float = 3_600.0) -> dict:
    made = model(rows)
    made.update_health(NOW)
    return report_json(made, made.tasks.live, None, lambda *_: {}, NOW + round(within_s * S), NOW)


class Cells(HTMLParser):
    """The text of each cell, and the names of all elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 (as the base class)
        self.names.add(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a|b", "[x](javascript:1)", "`code`", "![i](x)"])
def test_a_name_is_text_in_markdown_and_in_html(name):
    found = report({f"p/{name}/{COPY}": row()})
    assert name in Cells(html_document(found)).cells
    assert "img" not in Cells(html_document(found)).names
    (line,) = (each for each in markdown_document(found).splitlines() if each.endswith(" 100 % |"))
    for character in "<|[`":
        inside = line.split(" | ")[0].removeprefix("| ")
        assert inside.count(character) == inside.count(f"\\{character}")


def test_a_name_that_controls_a_terminal_or_a_spreadsheet_is_harmless():
    found = report({f"\x1b[2J/t/{COPY}": row(), f"=1+1/t/{COPY}": row()})
    assert "\x1b" not in markdown_document(found) + html_document(found) + csv_document(found)
    rows = list(csv.DictReader(io.StringIO(csv_document(found))))
    assert {each["project_id"] for each in rows} == {"\\x1b[2J", "'=1+1"}


def test_csv_has_a_line_for_each_project():
    found = report({f"p/a/{COPY}": row(), f"p/b/{COPY}": row(health=int(Health.NO_PROGRESS)), f"q/a/{COPY}": row()})
    rows = list(csv.DictReader(io.StringIO(csv_document(found))))
    assert tuple(rows[0]) == CSV_COLUMNS
    by_project = {each["project_id"]: each for each in rows}
    assert {name: by_project["p"][name] for name in ("tasks", "no_progress", "ok", "unknown")} == {
        "tasks": "2",
        "no_progress": "1",
        "ok": "1",
        "unknown": "1",
    }
    assert by_project["p"]["by"] == "2026-11-23 13:00:00Z"
    assert by_project["p"]["bytes_total"] == "24000000000"


def test_a_document_of_no_task_has_its_sentences_and_no_table():
    found = report({})
    assert "0 of 0 tasks are complete" in markdown_document(found)
    assert "| --- |" not in markdown_document(found)
    assert "table" not in Cells(html_document(found)).names
    assert csv_document(found).splitlines() == [",".join(CSV_COLUMNS)]


def test_projects_that_are_left_out_are_counted():
    found = report({f"p-{number}/t/{COPY}": row() for number in range(MOST_PROJECTS + 7)})
    assert "| 7 more projects |" in markdown_document(found)

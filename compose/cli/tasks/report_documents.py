"""The report of a fleet as documents: Markdown, a page of HTML that prints, and CSV. It prints nothing.

Names come from agents and callers: each document has them as text of its own kind, never as its markup.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from taskstream.compose.cli.tasks.task_text import health_of, moment, note_text, pipeline_text, rate, size, span
from taskstream.schemas.terminal_text import terminal_text

HEALTHS: Final = ("SILENT", "NO_PROGRESS", "SLOW", "OK", "COMPLETE")
CSV_COLUMNS: Final = (
    *("project_id", "now", "by", "tasks", "silent", "no_progress", "slow", "ok", "complete", "bytes_done"),
    *("bytes_total", "done_pct", "rate_bytes_per_s", "expected_by", "low_by", "high_by", "foretold", "unknown"),
)
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>#|~&$@]|(?<=:)/(?=/)|^[+-])")
"""What begins markup anywhere in a line, and in an address that renderers make a link of."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""With these, a cell of a spreadsheet begins a formula."""
_NOTE: Final = (
    "The expected number is the sum of the tasks' probabilities, from the 80 percent intervals of their ends; its own "
    "80 percent interval holds if tasks are independent. Tasks without an end count as not ended."
)
_STYLE: Final = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1f2328}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:1.6rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top;"
    "overflow-wrap:break-word;font-variant-numeric:tabular-nums}th{color:#59636e;font-weight:500}"
    "td:nth-child(-n+2){overflow-wrap:anywhere;min-width:6rem}.scroll{overflow-x:auto}"
    "p.faint{color:#59636e}@media print{body{margin:0;max-width:none;font-size:10pt}tr{break-inside:avoid}"
    "h2{break-after:avoid}thead{display:table-header-group}@page{margin:1.5cm}}"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report: a heading, then a table or sentences."""

    heading: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    sentences: Sequence[str] = ()


def markdown_document(report: Mapping[str, Any]) -> str:
    """The report in Markdown, with tables as GitHub's renderers take them."""
    lines = [f"# {_markdown(title_of(report))}", ""]
    lines += [line for each in summary_of(report) for line in (_markdown(each), "")]
    for section in sections_of(report):
        lines += [f"## {_markdown(section.heading)}", ""]
        if section.rows:
            lines.append(_markdown_row(section.columns))
            lines.append("|" + " --- |" * len(section.columns))
            lines += [_markdown_row(row) for row in section.rows]
            lines.append("")
        lines += [line for each in section.sentences for line in (f"- {_markdown(each)}",)]
        lines += [""] if section.sentences else []
    return "\n".join([*lines, _markdown(_NOTE), ""])


def html_document(report: Mapping[str, Any]) -> str:
    """The report as one page without a script or another file; it prints on paper."""
    title = html.escape(title_of(report))
    parts = ["<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">', f"<title>{title}</title>"]
    parts += [f"<style>{_STYLE}</style>", "</head>", "<body>", f"<h1>{title}</h1>"]
    parts += [f"<p>{html.escape(each)}</p>" for each in summary_of(report)]
    for section in sections_of(report):
        parts.append(f"<h2>{html.escape(section.heading)}</h2>")
        if section.rows:
            parts.append(
                f'<div class="scroll"><table><thead><tr>{_html_cells(section.columns, "th")}</tr></thead><tbody>'
            )
            parts += [f"<tr>{_html_cells(row, 'td')}</tr>" for row in section.rows]
            parts.append("</tbody></table></div>")
        if section.sentences:
            parts.append(f"<ul>{''.join(f'<li>{html.escape(each)}</li>' for each in section.sentences)}</ul>")
    parts += [f'<p class="faint">{html.escape(_NOTE)}</p>', "</body>", "</html>", ""]
    return "\n".join(parts)


def csv_document(report: Mapping[str, Any]) -> str:
    """One line for each project, `CSV_COLUMNS`; times are UTC. A name that begins a formula has a quote before it."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for each in report["projects"]:
        ended = each["ended_by"]
        writer.writerow(
            [
                _csv_name(each["project_id"]),
                moment(report["now_ms"]),
                moment(report["by_ms"]),
                each["tasks"],
                *(each["health"].get(name, 0) for name in HEALTHS),
                *(each[name] for name in ("bytes_done", "bytes_total", "done_pct")),
                round(each["rate_bps"]),
                *(ended[name] for name in ("expected", "low", "high", "foretold", "unknown")),
            ]
        )
    return sink.getvalue()


def title_of(report: Mapping[str, Any]) -> str:
    """The heading of the report."""
    projects = report["projects"]
    whose = f"project {terminal_text(projects[0]['project_id'])}" if len(projects) == 1 else "all projects shown"
    return f"Migration report of {whose}, {_minute(report['now_ms'])}"


def summary_of(report: Mapping[str, Any]) -> list[str]:
    """The report in a few sentences."""
    total, behind = report["total"], pipeline_text(report)
    sentences = [] if behind is None else [f"{behind}."]
    done = "no bytes to copy" if total["done_pct"] is None else f"{total['done_pct']:g} %"
    sentences.append(
        f"{size(total['bytes_done'])} of {size(total['bytes_total'])} are done ({done}), at {rate(total['rate_bps'])}."
    )
    return [*sentences, ended_text(total, report["by_ms"])]


def ended_text(totals: Mapping[str, Any], by_ms: int) -> str:
    """How many tasks have ended by the time, as a sentence."""
    ended = totals["ended_by"]
    text = (
        f"{ended['complete']:,} of {totals['tasks']:,} tasks are complete. Ended by {_minute(by_ms)}: {_count(ended)}"
    )
    if ended["unknown"]:
        text += f"; {ended['unknown']:,} have no foreseeable end and count as not ended"
    if ended["of_subtask"]:
        text += f"; of {ended['of_subtask']:,}, the end of the current subtask stands for that of the task"
    return f"{text}."


def sections_of(report: Mapping[str, Any]) -> list[Section]:
    """The tables and lists of the report, without those that are empty."""
    sections = [
        Section("Projects", *_projects(report)),
        Section("Stages", *_stages(report["total"])),
        Section("The slowest: those that end last", *_slowest(report)),
        Section(f"Standing still: {report['standing_count']:,}", *_standing(report)),
        Section("Stopped together", sentences=[stop_text(each) for each in report["stopped_together"]]),
        Section("Slowed down together", sentences=[terminal_text(each["text"]) for each in report["slowdowns"]]),
    ]
    return [each for each in sections if each.rows or each.sentences]


def stop_text(stop: Mapping[str, Any]) -> str:
    """Tasks that stopped together, as a sentence."""
    shares = [f"{terminal_text(each['project_id'])} {each['tasks']:,}" for each in stop["projects"]]
    shares += [f"{terminal_text(each['subtask_name'])} {each['tasks']:,}" for each in stop["subtasks"]]
    shares += [
        f"{terminal_text(each['label'])} {terminal_text(each['value'])} {each['tasks']:,}" for each in stop["labels"]
    ]
    when = f"{_minute(stop['begin_ms'])} to {_minute(stop['end_ms'])}"
    return (
        f"{stop['tasks']:,} tasks stopped within five minutes, {when} ({stop['expected']:g} are usual; "
        f"{stop['silent']:,} silent): {', '.join(shares)}"
    )


def _minute(ms: int | None) -> str:
    """A time in UTC, to the minute."""
    text = moment(ms)
    return f"{text[:-4]}Z" if text.endswith("Z") else text


def _count(ended: Mapping[str, Any]) -> str:
    low, high = ended["low"], ended["high"]
    text = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{text} (expected {ended['expected']:,.1f})"


def _projects(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    columns = ["project", "done", "bytes", "rate", "tasks", *(health_of(each) for each in HEALTHS)]
    columns += [f"ended by {_minute(report['by_ms'])}", "no end known"]
    rows = [
        [
            terminal_text(each["project_id"]),
            "-" if each["done_pct"] is None else f"{each['done_pct']:g} %",
            f"{size(each['bytes_done'])} of {size(each['bytes_total'])}",
            rate(each["rate_bps"]),
            f"{each['tasks']:,}",
            *(f"{each['health'].get(name, 0):,}" for name in HEALTHS),
            _count(each["ended_by"]),
            f"{each['ended_by']['unknown']:,}",
        ]
        for each in report["projects"]
    ]
    more = report["project_count"] - len(rows)
    if more > 0:
        rows.append([f"{more:,} more projects", *[""] * (len(columns) - 1)])
    return columns, rows


def _stages(total: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    return ["stage", "tasks"], [[terminal_text(each["subtask_name"]), f"{each['tasks']:,}"] for each in total["stages"]]


def _slowest(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    columns = ["task", "project", "stage", "progress", "left", "rate", "ends in", "80 % between", "by then"]
    return columns, [_slow_row(each, report["now_ms"]) for each in report["slowest"]]


def _slow_row(task: Mapping[str, Any], now_ms: int) -> list[str]:
    between = [_minute(task[name]) for name in ("ends_from_ms", "ends_to_ms")]
    return [
        terminal_text(task["task_id"]),
        terminal_text(task["project_id"]),
        terminal_text(task["subtask_name"]),
        f"{task['progress']} %",
        size(task["bytes_left"]),
        rate(task["rate_fast_bps"]),
        span((task["ends_at_ms"] - now_ms) / 1000) + ("" if task["is_whole"] else " (the stage)"),
        " to ".join(between),
        "-" if task["chance"] is None else f"{100 * task['chance']:.0f} %",
    ]


def _standing(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            terminal_text(each["task_id"]),
            terminal_text(each["project_id"]),
            terminal_text(each["subtask_name"]),
            health_of(each["health"]),
            _minute(each["health_since_ms"]),
            terminal_text(each["health_reason"]),
            "" if each["note"] is None else note_text(each["note"]),
        ]
        for each in report["standing"]
    ]
    more = report["standing_count"] - len(rows)
    if more > 0:
        rows.append([f"{more:,} more", *[""] * 6])
    return ["task", "project", "stage", "health", "since", "why", "note"], rows


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_markdown, cells))} |"


def _html_cells(cells: Iterable[str], name: str) -> str:
    return "".join(f"<{name}>{html.escape(each)}</{name}>" for each in cells)


def _csv_name(text: str) -> str:
    plain = terminal_text(text)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain

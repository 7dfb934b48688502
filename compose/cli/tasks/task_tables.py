"""Tasks as rich tables: colours, columns that fit the width, the totals of the fleet. It prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from taskstream.compose.cli.tasks.task_text import (
    NOT_CONVERGING,
    STYLES,
    condition_of,
    health_of,
    moment,
    note_text,
    pipeline_text,
    rate,
    row_of,
    size,
    span,
    whole_end_of,
)
from taskstream.compose.task_watch import WatchedTasks
from taskstream.schemas.terminal_text import terminal_text

_OPTIONAL_COLUMNS: Final = ("project", "last 30", "bytes", "subtask", "trend", "ends")
"""Columns that are omitted on a narrow terminal, in this order."""
_RIGHT_ALIGNED: Final = frozenset({"done", "rate"})
_MIN_WHY_WIDTH: Final = 38
_GAP: Final = 2


def table_of(tasks: Iterable[Mapping[str, Any]], now_ms: int, width: int) -> Table:
    """One row per task, with the columns that fit into `width`."""
    rows = [(condition_of(each), row_of(each, now_ms)) for each in tasks]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    widths = {name: max(len(name), *(cell_len(row[name]) for _, row in rows)) for name in (rows[0][1] if rows else ())}
    names = fitting(widths, width)
    for name in names:
        justify: Any = "right" if name in _RIGHT_ALIGNED else "left"
        min_width = None if name == "why" else widths[name]
        table.add_column(name.upper(), no_wrap=True, justify=justify, min_width=min_width, overflow="ellipsis")
    for health, row in rows:
        style = STYLES.get(health, "")
        table.add_row(*(Text(row[name], style=style if name == "health" else "") for name in names))
    return table


def fitting(widths: Mapping[str, int], width: int) -> list[str]:
    """The columns that fit into a line of `width`; the reason is truncated before another column is omitted."""
    names = list(widths)
    for gone in _OPTIONAL_COLUMNS:
        needed = sum(min(widths[name], _MIN_WHY_WIDTH) if name == "why" else widths[name] for name in names)
        if needed + _GAP * len(names) <= width:
            break
        names = [name for name in names if name != gone]
    return names


def watch_screen(watched: WatchedTasks, now_ms: int, width: int) -> RenderableType:
    """The totals of the fleet, the tasks, and the state of the connection."""
    return Group(
        fleet_line(watched.fleet),
        Text(pipeline_text(watched.beat) or "", style="bold yellow"),
        table_of(watched.tasks, now_ms, width),
        Text(),
        connection_line(watched),
    )


def fleet_line(fleet: Mapping[str, Any]) -> Text:
    """The totals of the fleet in one line."""
    if not fleet:
        return Text("…")
    line = Text()
    for word in ("SILENT", "NO_PROGRESS", "SLOW", "OK", "COMPLETE"):
        count = fleet["health"].get(word, 0)
        line.append(f"{count:,} {health_of(word)}   ", style=STYLES[word] if count else "dim")
    if endless := fleet.get("without_eta_by_reason", {}).get(NOT_CONVERGING, 0):
        line.append(f"{endless:,} not converging   ", style=STYLES[NOT_CONVERGING])
    line.append(f"{rate(fleet['rate_bps'])}, {size(fleet['bytes_left'])} left")
    if fleet["ends_at_ms"] is not None:
        line.append(f", the last one ends in {span((fleet['ends_at_ms'] - fleet['now_ms']) / 1000)}")
    if fleet["without_eta"]:
        line.append(f", {fleet['without_eta']:,} without an end")
    return line


def connection_line(watched: WatchedTasks) -> Text:
    """Whether the tasks are live, behind Kafka, or no longer updated, and why."""
    if watched.lost is not None:
        return Text(f"not live: {terminal_text(watched.lost)}", style="bold red")
    if watched.lag_s > 2:
        return Text(f"the view is {span(watched.lag_s)} behind Kafka", style="yellow")
    return Text("live; Ctrl-C stops", style="dim")


def task_page(task: Mapping[str, Any], now_ms: int) -> RenderableType:
    """All of one task: its facts, its subtasks in order of time, its signals."""
    row = row_of(task, now_ms)
    verdict = Text.assemble((row["health"], STYLES.get(condition_of(task), "")), f": {row['why']}")
    best = max((each["rate_peak_bps"] or 0.0 for each in task["subtasks"]), default=0.0)
    when = "" if task["health"] == "SILENT" else " now"
    rates = f"{row['rate']}{when}, {rate(task['rate_slow_bps'])} over {span(10 * task['bucket_s'])}, "
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("task", row["task"]),
        ("project", row["project"]),
        ("since", moment(task["health_since_ms"])),
        ("copied", f"{row['bytes'] if row['bytes'] != '-' else 'no bytes to copy'}, {row['done']}"),
        ("observed", f"{'' if task['health'] == 'COMPLETE' else rates}{rate(best)} at best"),
        ("reported by agent", rate(task["rate_reported_bps"])),
        ("trend", row["trend"]),
        ("last 30", row["last 30"]),
        ("ends", row["ends"]),
        ("the task ends", whole_end_of(task, now_ms)),
        ("last report", f"{span((now_ms - task['last_seen_ms']) / 1000)} ago"),
        ("last byte", f"{span((now_ms - task['last_advance_ms']) / 1000)} ago"),
    ):
        facts.add_row(Text(name, style="dim"), Text(value))
    for about in ("labels", "links"):
        for name, text in task.get(about, {}).items():
            facts.add_row(Text(terminal_text(name), style="dim"), Text(terminal_text(text)))
    behind = pipeline_text(task)
    parts: list[RenderableType] = [] if behind is None else [Text(behind, style="bold yellow")]
    parts.append(verdict)
    if note := task.get("note"):
        parts.append(Text(note_text(note), style="bold"))
    if remedy := task.get("remedy"):
        parts.append(Text.assemble(("to do: ", "bold"), terminal_text(remedy)))
    parts += [facts, Text(), Text("subtasks", style="bold")]
    for each in task["subtasks"]:
        own = row_of({"task_id": task["task_id"], "project_id": task["project_id"]} | each, now_ms)
        parts.append(
            Text.assemble(
                (f"  {own['health']:<16}", STYLES.get(condition_of(each), "")),
                f"{own['subtask']}  {own['done']}  {own['bytes']}  {own['why']}",
            )
        )
        parts += [Text(f"      {terminal_text(line)}", style="dim") for line in each["process_trace"].splitlines()[:20]]
    parts += [_stage_ahead(each) for each in task.get("stages_ahead", ())]
    parts += [Text(), Text("signals", style="bold")]
    parts += [_signal(each) for each in task["signals"]] or [Text("  none", style="dim")]
    if task["signals_problem"] is not None:
        parts.append(Text(f"  some may be missing: {terminal_text(task['signals_problem'])}", style="yellow"))
    return Group(*parts)


def _stage_ahead(stage: Mapping[str, Any]) -> Text:
    lasts = "" if stage["lasts_s"] is None else f"  about {span(stage['lasts_s'])}"
    return Text(f"  {'to come':<16}{terminal_text(stage['subtask_name'])}{lasts}", style="dim")


def _signal(signal: Mapping[str, Any]) -> Text:
    return Text.assemble(
        f"  {moment(signal['raised_at_ms'])}  ",
        (f"{terminal_text(signal['signal']).lower().replace('_', ' '):<12}", STYLES.get(signal["after"], "")),
        f"{terminal_text(signal['text'])}  ({terminal_text(signal['subtask_name'])})",
    )

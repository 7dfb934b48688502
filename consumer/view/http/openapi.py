"""The view's read API in OpenAPI 3.1, built from the names and bounds that the code uses."""

from __future__ import annotations

from typing import Any, Final

from taskstream.consumer.notes.task_note import LONGEST_BY, LONGEST_NOTE, LONGEST_US, NoteKind
from taskstream.consumer.state.series import GAUGES, MINUTES, EtaReason, Health, Signal, Trend
from taskstream.consumer.view.http import rates_api, tasks_api, v3_api
from taskstream.consumer.view.json.slowdown_json import MOST_SHARES, MOST_TASKS
from taskstream.consumer.view.read_model import mass_silence, task_list
from taskstream.consumer.view.read_model.signal_log import MAX_SIGNALS_PER_TASK
from taskstream.consumer.view.report import by_time, report_json
from taskstream.schemas.http.security_schemes import SECURITY_SCHEMES

_MS: Final = {"type": ["integer", "null"], "description": "Milliseconds since 1970."}
_BYTES: Final = {"type": "integer", "minimum": 0, "description": "Bytes."}
_RATE: Final = {"type": ["number", "null"], "description": "Bytes per second."}
_COUNT: Final = {"type": "integer", "minimum": 0}
_NUMBER: Final = {"type": ["number", "null"]}
_QUANTITY: Final = {"type": "number"}
_TEXT: Final = {"type": "string"}
_AT_MOST: Final = {"type": "string", "maxLength": task_list.MAX_TEXT_LENGTH}
_WORDS: Final = {
    "Health": {"type": "string", "enum": [each.name for each in Health]},
    "Trend": {"type": "string", "enum": [each.name for each in Trend]},
    "NoteKind": {"type": "string", "enum": [each.value for each in NoteKind]},
    "EtaReason": {"type": "string", "enum": [each.name for each in EtaReason]},
    "VendorState": {"type": "string", "enum": sorted(v3_api.STATES)},
}
"""Enumerations with a name: a generated client has one type of each, wherever it occurs."""


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_SERIES: Final[dict[str, Any]] = {
    "subtask_name": _TEXT,
    "state": {
        "type": "string",
        "description": "The state, in the API's terms, of a task whose current subtask this is.",
    },
    "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent, as reported."},
    "replicatesize": _BYTES,
    "totalsize": _BYTES,
    "rate_fast_bps": _RATE | {"description": "Observed bytes per second, half-life one bucket."},
    "rate_slow_bps": _RATE | {"description": "Observed bytes per second, half-life ten buckets."},
    "rate_reported_bps": _RATE | {"description": "The agent's migrate_speed, in bytes per second."},
    "trend": _ref("Trend"),
    "trend_change_pct": _NUMBER
    | {"description": "Change of the last 5 buckets against the up to 25 before them, in percent."},
    "health": _ref("Health"),
    "health_since_ms": _MS,
    "health_reason": {
        "type": "string",
        "description": "The reason of the health, in a sentence with the numbers behind it.",
    },
    "ends_at_ms": _MS | {"description": "Estimated end by the observed rates; null when there is no estimate."},
    "ends_from_ms": _MS | {"description": "Early bound of the 80 percent interval, corrected by how past ones held."},
    "ends_to_ms": _MS | {"description": "Late bound of it."},
    "eta_reason": {
        "type": ["string", "null"],
        "description": f"Why there is no estimate: {', '.join(each.name for each in EtaReason if each)}.",
    },
    "eta_reason_text": {"type": ["string", "null"], "description": "The same in a few words."},
    "remain_time_s": {"type": ["integer", "null"], "description": "Seconds left, as reported by the agent."},
    "first_seen_ms": _MS,
    "last_seen_ms": _MS,
    "last_advance_ms": _MS | {"description": "When bytes or progress last increased."},
    "minute_bytes": {
        "type": "array",
        "items": {"type": "integer"},
        "minItems": MINUTES,
        "maxItems": MINUTES,
        "description": "Bytes in each closed bucket before open_minute_ms, oldest first.",
    },
    "open_minute_ms": _MS | {"description": "Of a task, by the clock; of a subtask, by its newest report."},
}
_RATE_POINT: Final = {
    "from_ms": _MS,
    "to_ms": _MS,
    "measured_s": _NUMBER,
    "bytes": _BYTES,
    "rate_bps": _RATE | {"description": "Bytes by the seconds that were measured."},
    "subtask_name": _TEXT,
    "replicatesize": _BYTES,
    "totalsize": _BYTES,
}
_RATES: Final = {
    "from_ms": _MS,
    "to_ms": _MS,
    "step_s": _NUMBER,
    "now_ms": _MS,
    "is_whole": {"type": "boolean", "description": "False: so many records that the oldest were not read."},
    "records_read": _COUNT,
    "points": _list_of("RatePoint") | {"description": "Only steps in which something was measured."},
}
_NOTE: Final = {
    "kind": _ref("NoteKind"),
    "note": _TEXT,
    "by": _TEXT,
    "made_at_ms": _MS,
    "until_ms": _MS,
}
_NOTE_OR_NONE: Final = {"anyOf": [_ref("Note"), {"type": "null"}], "description": "An operator's note that holds now."}
_NOTE_REQUEST: Final = {
    "type": "object",
    "properties": {
        "kind": _ref("NoteKind"),
        "note": {"type": "string", "minLength": 1, "maxLength": LONGEST_NOTE},
        "until_ms": {
            "type": "integer",
            "description": f"When it ends, milliseconds since 1970; within {LONGEST_US // 86_400_000_000} days.",
        },
        "by": {"type": "string", "maxLength": LONGEST_BY, "description": "Default: the project of the credentials."},
    },
    "required": ["kind", "note", "until_ms"],
    "additionalProperties": False,
}
_LINE: Final = {
    "note": _NOTE_OR_NONE,
    "project_id": _TEXT,
    "task_id": _TEXT,
    **_SERIES,
    "task_replicatesize": _BYTES | {"description": "Bytes copied by all subtasks."},
    "task_totalsize": _BYTES | {"description": "Bytes to copy in all subtasks."},
    "task_first_seen_ms": _MS | {"description": "The first report of the first subtask."},
    "task_ends_at_ms": _MS | {"description": "Estimated end of the whole task; null when the past says too little."},
    "task_ends_from_ms": _MS | {"description": "Early bound of its 80 percent interval."},
    "task_ends_to_ms": _MS | {"description": "Late bound of it."},
    "task_ends_basis": {"type": ["string", "null"], "description": "What this end is based on, in words."},
    "version": {"type": "integer", "description": "Increases with every change; see /stream."},
}
_SUBTASK: Final = {
    **_SERIES,
    "process_trace": {"type": "string", "description": "Text from the agent; show it as plain text only."},
    "agent_time": {"type": ["string", "null"]},
    "need_migration_test": {"type": ["boolean", "null"]},
    **dict.fromkeys(("reports", "skewed", "stale", "resets", "regressions", "samples", "complete_minutes"), _COUNT),
    "open_minute_bytes": _BYTES,
    **dict.fromkeys(("quiet_limit_s", "stall_limit_s"), _NUMBER | {"description": "In seconds; null: ten buckets."}),
    "growth_bps": _RATE | {"description": "Bytes per second by which totalsize grows, half-life ten buckets."},
    **dict.fromkeys(("rate_peak_bps", "typical_gap_s", "trend_slope_pct", "log_rate_sd"), _NUMBER),
    **dict.fromkeys(("eta_s", "eta_low_s", "eta_high_s", *GAUGES), _NUMBER),
    "rated_from_ms": _MS,
    "partition": _COUNT,
}
_SIGNAL: Final = {
    "signal": {"type": "string", "description": f"One of {', '.join(each.name for each in Signal)}."},
    "text": {"type": "string", "description": "The signal as a sentence with the numbers behind it."},
    "subtask_name": _TEXT,
    "before": _TEXT,
    "after": {"type": "string", "description": "The health after the signal."},
    **dict.fromkeys(("raised_at_ms", "since_ms", "before_since_ms", "last_seen_ms", "last_advance_ms"), _MS),
    **dict.fromkeys(("eta_ms", "eta_before_ms"), _MS),
    "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent."},
    "replicatesize": _BYTES,
    "totalsize": _BYTES,
    "rate_fast_bps": _RATE,
    "rate_slow_bps": _RATE,
    **dict.fromkeys(("limit_s", "trend_change_pct"), _NUMBER),
}
_PIPELINE: Final = {
    "behind_s": _NUMBER | {"description": "The age of the first report that no worker has read; null when unknown."},
    "records_behind": {
        "type": ["integer", "null"],
        "description": "Reports that no worker has read; null when unknown.",
    },
    "as_of_ms": _MS | {"description": "Health is as of this time; null: as of now."},
    "text": {
        "type": ["string", "null"],
        "description": "A sentence to show while the workers are behind, or while that is unknown; else null.",
    },
}
_FLEET: Final = {
    "tasks": _COUNT,
    "health": {"type": "object", "additionalProperties": _COUNT},
    "trend": {"type": "object", "additionalProperties": _COUNT, "description": "Over tasks that move."},
    "needs_attention": _COUNT | {"description": "Tasks in trouble that are neither acknowledged nor muted."},
    "notes": {"type": "object", "additionalProperties": _COUNT, "description": "Tasks with a note, by its kind."},
    "bytes_done": _BYTES,
    "bytes_left": _BYTES,
    "rate_bps": _RATE | {"description": "Sum of the fast rates of unfinished tasks that are not silent."},
    "ends_at_ms": _MS
    | {"description": "The latest estimated end: of whole tasks, or of current subtasks where too little is known."},
    "without_eta": _COUNT,
    "without_eta_by_reason": {
        "type": "object",
        "additionalProperties": _COUNT,
        "description": "Incomplete tasks without an estimate, by eta_reason.",
    },
    "oldest_silence_s": _NUMBER
    | {"description": "Seconds since the last report of the unfinished task that has been silent longest."},
    "slowdowns": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Slowdown"},
        "description": "Tasks of the project, or of all, that slowed down together in the last hour; newest first.",
    },
    "now_ms": _MS,
    "pipeline": {"$ref": "#/components/schemas/Pipeline"},
}
_SHARE: Final = {"fell": _COUNT, "moving": _COUNT | {"description": "Tasks whose rates were watched."}}
_PAST_INTERVALS: Final = {
    "project_id": _TEXT,
    "subtask_name": _TEXT,
    "claims": _COUNT
    | {"description": "Ends foretold at half and at three quarters of the bytes of complete subtasks."},
    "held": _COUNT | {"description": "Of these, within the 80 percent interval that the series itself computed."},
    "held_corrected": _COUNT | {"description": "Within that interval times the factor that the other claims give."},
    "factor": {"type": "number", "description": "Intervals are now as many times as wide; 1 with under 20 claims."},
}
_SLOWDOWN: Final = {
    "kind": {"type": "string", "enum": ["fleet", "project", "subtask"], "description": "What the tasks share."},
    "name": {"type": ["string", "null"], "description": "The project or the subtask; null for the fleet."},
    "begin_ms": _MS | {"description": "The begin of the window of three buckets in which the rates fell."},
    "end_ms": _MS | {"description": "Its end."},
    "fell": _COUNT | {"description": "Tasks of the group whose rates fell in the window."},
    "moving": _COUNT | {"description": "Tasks of the group whose rates were watched."},
    "expected": {"type": "number", "description": "How many of them fall in such a window by chance."},
    "still_slow": _COUNT | {"description": "Of the tasks that fell (the first 1,000), those that are slow now."},
    "projects": {"type": "array", "maxItems": MOST_SHARES, "items": {"$ref": "#/components/schemas/ShareOfProject"}},
    "subtasks": {"type": "array", "maxItems": MOST_SHARES, "items": {"$ref": "#/components/schemas/ShareOfSubtask"}},
    "tasks": {
        "type": "array",
        "maxItems": MOST_TASKS,
        "items": {"$ref": "#/components/schemas/TaskName"},
        "description": f"The tasks that fell; at most {MOST_TASKS}.",
    },
    "text": {"type": "string", "description": "The same as a sentence."},
}
_ENDED_BY: Final = {
    "complete": _COUNT | {"description": "Tasks that are complete now."},
    "expected": {
        "type": "number",
        "minimum": 0,
        "description": "These, and the sum of the probabilities of the foretold ones.",
    },
    "low": _COUNT | {"description": "The 80 percent interval of the number that has ended, if tasks are independent."},
    "high": _COUNT,
    "foretold": _COUNT | {"description": "Incomplete tasks with an end, and so with a probability."},
    "of_subtask": _COUNT | {"description": "Of these, those whose end is that of the current subtask alone."},
    "unknown": _COUNT | {"description": "Incomplete tasks without an end: they count as not ended."},
}
_REPORT_TOTALS: Final = {
    "tasks": _COUNT,
    "health": {"type": "object", "additionalProperties": _COUNT},
    "stages": _list_of("StageCount") | {"description": "Incomplete tasks by current subtask, the most first."},
    "bytes_done": _BYTES,
    "bytes_total": _BYTES | {"description": "Of the subtasks that have begun."},
    "done_pct": _NUMBER | {"description": "Percent of the bytes; null: there are none."},
    "rate_bps": {"type": "number", "description": "Bytes per second of unfinished tasks that are not silent."},
    "ended_by": _ref("EndedBy"),
}
_SLOW_TASK: Final = {
    **dict.fromkeys(("project_id", "task_id", "subtask_name"), _TEXT),
    "health": _ref("Health"),
    "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent."},
    "bytes_left": _BYTES | {"description": "Of the current subtask."},
    "rate_fast_bps": _RATE,
    "ends_at_ms": _MS,
    "ends_from_ms": _MS | {"description": "Early bound of the 80 percent interval."},
    "ends_to_ms": _MS | {"description": "Late bound of it; null: too few tasks lasted so long."},
    "is_whole": {"type": "boolean", "description": "False: the end of the current subtask, and not of the task."},
    "chance": _NUMBER | {"description": "The probability that it has ended by the time asked about."},
}
_STANDING_TASK: Final = {
    **dict.fromkeys(("project_id", "task_id", "subtask_name", "health_reason"), _TEXT),
    "health": _ref("Health"),
    "health_since_ms": _MS,
    "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent."},
    "note": _NOTE_OR_NONE,
}
_STOP: Final = {
    "begin_ms": _MS | {"description": "The first stop."},
    "end_ms": _MS | {"description": "The last one, at most five minutes later."},
    "tasks": _COUNT,
    "expected": {"type": "number", "description": "Stops that are usual in five minutes of the hours around."},
    "silent": _COUNT | {"description": "Of these, those that are silent; the others report and do not move."},
    "projects": _list_of("StopsOfProject") | {"maxItems": report_json.MOST_SHARES},
    "subtasks": _list_of("StageCount") | {"maxItems": report_json.MOST_SHARES},
    "labels": _list_of("SharedLabel")
    | {"maxItems": report_json.MOST_SHARES, "description": "Labels, such as a host, that two or more of them have."},
}
_REPORT: Final = {
    "now_ms": _MS,
    "by_ms": _MS | {"description": "The time asked about."},
    "pipeline": _ref("Pipeline"),
    "total": _ref("ReportTotals"),
    "project_count": _COUNT,
    "projects": _list_of("ProjectReport")
    | {"maxItems": report_json.MOST_PROJECTS, "description": "Those with the most bytes left first."},
    "slowest": _list_of("SlowTask") | {"maxItems": report_json.MOST_SLOWEST, "description": "Those that end last."},
    "standing_count": _COUNT | {"description": "Tasks that are silent or make no progress."},
    "standing": _list_of("StandingTask")
    | {"maxItems": report_json.MOST_STANDING, "description": "Those that have stood still longest."},
    "stopped_together": _list_of("Stop")
    | {"description": "Three or more of these that stopped within five minutes, and three times the usual number."},
    "slowdowns": _list_of("Slowdown") | {"description": "Tasks that slowed down together in the last 24 hours."},
}
_VENDOR_SUBTASK: Final = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "description": "The subtask's number in the task, from 1."},
        "name": _TEXT,
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "start_date": {"type": "integer", "description": "Milliseconds since 1970."},
        "end_date": {"type": "integer", "description": "Milliseconds since 1970."},
        "process_trace": _TEXT,
        "migrate_speed": {"type": "number", "description": "Mbit/s, as the agent measured it."},
        "replicatesize": _BYTES,
        "totalsize": _BYTES,
    },
    "required": ["id", "name", "progress"],
    "additionalProperties": True,
}
_VENDOR_TASK: Final = {
    "type": "object",
    "description": "As in the vendor's API; a field without a value is left out.",
    "properties": {
        "id": _TEXT,
        "state": _ref("VendorState"),
        "project_id": _TEXT,
        "subtask_info": _TEXT,
        "syncing": {"type": "boolean"},
        "connected": {"type": "boolean"},
        "estimate_complete_time": {"type": "integer", "description": "Milliseconds since 1970."},
        "start_date": {"type": "integer", "description": "Milliseconds since 1970."},
        "finish_date": {"type": "integer", "description": "Milliseconds since 1970."},
        "total_time": {"type": "integer", "description": "Milliseconds."},
        "remain_seconds": {"type": "integer"},
        "replicatesize": _BYTES,
        "totalsize": _BYTES,
        **dict.fromkeys(GAUGES, _QUANTITY),
        "need_migration_test": {"type": "boolean"},
        "sub_tasks": _list_of("VendorSubtask"),
    },
    "required": ["id", "state", "sub_tasks"],
    "additionalProperties": True,
}
_ERROR: Final = {
    "error_code": _TEXT,
    "error_msg": _TEXT,
    "title": _TEXT,
    "status": _COUNT,
    "retriable": {"type": "boolean"},
}


_MASS_SILENCE: Final = {"project_id": _TEXT, "count": _COUNT, "begin_ms": _MS, "end_ms": _MS}
_LIST: Final = {
    "count": _COUNT | {"description": "Over all pages, without the folded ones."},
    "folded": {
        "type": "array",
        "items": _ref("MassSilence"),
        "maxItems": mass_silence.MOST,
        "description": "With fold=silences: the mass silences whose tasks are left out, the largest first.",
    },
    "tasks": _list_of("Task"),
    "next_cursor": {"type": ["string", "null"]},
    "now_ms": _MS,
    "bucket_s": _NUMBER,
    "pipeline": _ref("Pipeline"),
}
_PAGE: Final = {
    "bucket_s": _NUMBER,
    "now_ms": _MS,
    "remedy": {"type": ["string", "null"], "description": "What to check first; null: nothing is wrong."},
    "subtasks": _list_of("Subtask"),
    "stages_ahead": _list_of("StageAhead") | {"description": "What followed this subtask in most ended tasks."},
    "stages_ahead_basis": {"type": ["string", "null"], "description": "In which tasks; null: too few have ended."},
    "signals": _list_of("Signal") | {"description": f"The last {MAX_SIGNALS_PER_TASK} signals, the oldest first."},
    "pipeline": _ref("Pipeline"),
    "signals_problem": {"type": ["string", "null"], "description": "Why signals may be missing, or null."},
    "labels": {"type": "object", "additionalProperties": _TEXT, "description": "From the view's file of labels."},
    "links": {"type": "object", "additionalProperties": _TEXT, "description": "Addresses in other systems, by name."},
}


def document() -> dict[str, Any]:
    """The whole document."""
    filters = [
        _query(
            "project", _AT_MOST, "Projects, separated by commas; without the role 'operate', only the caller's own."
        ),
        _several("health", _ref("Health"), "One or more, separated by commas or given one by one."),
        _several("trend", _ref("Trend"), "One or more, separated by commas or given one by one."),
        _several("eta_reason", _ref("EtaReason"), "Why there is no estimate; NONE: there is one. Separated by commas."),
        _query("subtask", _AT_MOST, "Names of subtasks, separated by commas."),
        _several("note", _ref("NoteKind"), "Tasks with a note of these kinds."),
        _query("attention", {"type": "string", "enum": list(task_list.ATTENTION)}, "Only tasks that need somebody."),
        _query("q", _AT_MOST, "A part of the task's id, in any case."),
    ]
    sorts = sorted([*task_list.SORTS, *(f"-{name}" for name in task_list.SORTS)])
    paging = [
        _query(
            "sort", {"type": "string", "enum": sorts, "default": "health"}, "A leading - sorts in descending order."
        ),
        _query("limit", _whole(0, task_list.MAX_LIMIT, task_list.DEFAULT_LIMIT), "Tasks per page."),
        _query("cursor", _TEXT, "next_cursor of the previous page, with the same sort."),
        _query(
            "fold",
            {"type": "string", "enum": list(tasks_api.FOLDS)},
            "silences: tasks of one project that fell silent within five minutes are one entry in `folded`, if they "
            f"are at least {mass_silence.LEAST_TASKS} and a tenth of the project's unfinished tasks.",
        ),
    ]
    last_id = _query("last_event_id", _TEXT, "Like the header Last-Event-ID, for clients that cannot send it.")
    vendors = [
        _query("state", _ref("VendorState"), "The task's state."),
        _query("id", _TEXT | {"maxLength": v3_api.LONGEST_ID}, "The task's id."),
        _query("name", _TEXT | {"maxLength": v3_api.LONGEST_ID}, "A part of the task's id: reports contain no name."),
        _query("limit", _whole(0, v3_api.MOST, v3_api.DEFAULT), "Tasks in the response."),
        _query("offset", _whole(0, v3_api.FARTHEST, 0), "Tasks to skip."),
    ]
    own = _query("project", _AT_MOST, "The task's project; without it, the caller's own first, then any.")
    one = [{"name": "task_id", "in": "path", "required": True, "schema": _TEXT}]
    stream = "Server-sent events: task, left, reset (fetch /tasks again), beat (every two seconds)."
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "taskstream view",
            "version": "1",
            "description": "The state of every migration. An empty parameter counts as not given.",
        },
        "servers": [{"url": "/", "description": "This view."}],
        "tags": [
            {"name": "tasks", "description": "The state of migrations."},
            {"name": "vendor", "description": "The vendor's API, as its SDK reads it."},
        ],
        "security": [{"token": []}, {"signature": []}],
        "paths": {
            "/tasks": _get(
                "listTaskStates",
                "A page of tasks, the worst first.",
                [*filters, *paging],
                _ref("TaskList"),
            ),
            "/tasks/{task_id}": _get(
                "showTaskState", "One task with its subtasks and signals.", [*one, own], _ref("TaskPage")
            ),
            "/tasks/{task_id}/rates": _get(
                "showRates",
                "The task's rates over a range of time, from the rates topic.",
                [
                    *one,
                    own,
                    _query("from", _TEXT | {"default": rates_api.DEFAULT_FROM}, "A time, or a duration before now."),
                    _query("to", _TEXT, "The same; default: now."),
                    _query("step", _TEXT, f"A duration; at most {rates_api.MOST_POINTS} points."),
                ],
                _ref("Rates"),
            ),
            "/tasks/{task_id}/note": {
                "put": _note_operation("noteTask", "Acknowledge or mute the task.", [*one, own], has_body=True),
                "delete": _note_operation("withdrawNote", "Withdraw the note.", [*one, own], has_body=False),
            },
            "/fleet": _get(
                "showFleet", "Totals over the tasks that the same filter selects in /tasks.", filters, _ref("Fleet")
            ),
            "/report": _get(
                "showReport",
                "By project what is done and what ends by a time, what is slowest and what stands still.",
                [
                    filters[0],
                    _query("by", _TEXT | {"default": by_time.DEFAULT_BY}, f"The time asked about: {by_time.WORDS}."),
                ],
                _ref("Report"),
            ),
            "/calibration": _get(
                "showCalibration",
                "How often past intervals of an end held.",
                [filters[0]],
                _ref("Calibration"),
            ),
            "/slowdowns": _get(
                "listSharedSlowdowns",
                "Tasks that slowed down together, of the last 24 hours, the newest first.",
                [filters[0]],
                _ref("SlowdownList"),
            ),
            "/stream": _get("followTasks", stream, [*filters, last_id], _TEXT, "text/event-stream", "429"),
            "/v3/tasks": _get("listTasks", "The vendor's list.", vendors, _ref("VendorTaskList")),
            "/v3/tasks/{task_id}": _get("showTask", "The vendor's task.", one, _ref("VendorTask")),
        },
        "components": {
            "securitySchemes": SECURITY_SCHEMES,
            "schemas": {
                **_WORDS,
                "Task": _object(_LINE),
                "TaskList": _object(_LIST),
                "MassSilence": _object(_MASS_SILENCE),
                "VendorTask": _VENDOR_TASK,
                "VendorTaskList": _object({"count": _COUNT, "tasks": _list_of("VendorTask")}),
                "VendorSubtask": _VENDOR_SUBTASK,
                "TaskPage": _object(_LINE | _PAGE),
                "Signal": _object(_SIGNAL),
                "StageAhead": _object({"subtask_name": _TEXT, "lasts_s": _NUMBER | {"type": ["number", "null"]}}),
                "Subtask": _object(_SUBTASK),
                "Fleet": _object(_FLEET),
                "Report": _object(_REPORT),
                "ReportTotals": _object(_REPORT_TOTALS),
                "ProjectReport": _object({"project_id": _TEXT, **_REPORT_TOTALS}),
                "EndedBy": _object(_ENDED_BY),
                "StageCount": _object({"subtask_name": _TEXT, "tasks": _COUNT}),
                "SlowTask": _object(_SLOW_TASK),
                "StandingTask": _object(_STANDING_TASK),
                "Stop": _object(_STOP),
                "SharedLabel": _object({"label": _TEXT, "value": _TEXT, "tasks": _COUNT}),
                "StopsOfProject": _object({"project_id": _TEXT, "tasks": _COUNT}),
                "Pipeline": _object(_PIPELINE),
                "PastIntervals": _object(_PAST_INTERVALS),
                "Rates": _object(_RATES),
                "RatePoint": _object(_RATE_POINT),
                "Note": _object(_NOTE),
                "NoteRequest": _NOTE_REQUEST,
                "NotedTask": _object({"project_id": _TEXT, "task_id": _TEXT, "note": _NOTE_OR_NONE}),
                "Calibration": _object({"intervals": _list_of("PastIntervals")}),
                "Slowdown": _object(_SLOWDOWN),
                "SlowdownList": _object({"slowdowns": _list_of("Slowdown"), "now_ms": _MS}),
                "ShareOfProject": _object({"project_id": _TEXT, **_SHARE}),
                "ShareOfSubtask": _object({"subtask_name": _TEXT, **_SHARE}),
                "TaskName": _object({"project_id": _TEXT, "task_id": _TEXT}),
                "Error": _object(_ERROR),
            },
        },
    }


def _get(
    operation_id: str, summary: str, parameters: list[Any], schema: Any, kind: str = "application/json", *refusals: str
) -> dict[str, Any]:
    lag = {"description": "Seconds since the view was last known to be current.", "schema": {"type": "number"}}
    good = {"description": summary, "headers": {"X-View-Lag": lag}, "content": {kind: {"schema": schema}}}
    bad = {"description": "The request is refused.", "content": {"application/json": {"schema": _ref("Error")}}}
    responses = {"200": good, **dict.fromkeys(("400", "401", "403", "404", *refusals, "503"), bad)}
    described = {
        "operationId": operation_id,
        "tags": ["vendor" if operation_id in ("listTasks", "showTask") else "tasks"],
        "summary": summary,
        "parameters": parameters,
        "responses": responses,
    }
    return {"get": described}


def _note_operation(operation_id: str, summary: str, parameters: list[Any], *, has_body: bool) -> dict[str, Any]:
    described: dict[str, Any] = _get(operation_id, summary, parameters, _ref("NotedTask"), "application/json", "413")[
        "get"
    ]
    if has_body:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref("NoteRequest")}},
        }
    return described


def _query(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _several(name: str, one: dict[str, Any], text: str) -> dict[str, Any]:
    several = {"type": "array", "minItems": 1, "items": one}
    return _query(name, several, text) | {"style": "form", "explode": False}


def _whole(least: int, most: int, default: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}

"""Uses the clients that openapi-python-client makes of our documents: `generated.py EDGE VIEW AGENT-TOKEN READER-TOKEN`.

Beside this file, `edge_client` and `view_client` are the generated packages. Prints what it saw as one JSON object.
"""

import json
import sys

from edge_client import AuthenticatedClient as EdgeClient
from edge_client.api.operation import is_ready
from edge_client.api.reports import report_many_progresses, report_progress
from edge_client.models import Error, ProgressReport, RelayedReport, SubtaskName
from view_client import AuthenticatedClient as ViewClient
from view_client.api.tasks import list_task_states, show_fleet, show_task_state
from view_client.api.vendor import list_tasks, show_task
from view_client.models import Health

edge_url, view_url, agent, reader = sys.argv[1:]
direct = {"trust_env": False}
seen = {}

with EdgeClient(edge_url, agent, auth_header_name="X-Auth-Token", prefix="", httpx_args=direct) as edge:
    seen["ready"] = is_ready.sync(client=edge).status
    report = ProgressReport(
        subtask_name=SubtaskName.MIGRATE_LINUX_FILE,
        progress=42,
        replicatesize=1_000,
        totalsize=100_000,
        process_trace="copying",
    )
    answer = report_progress.sync_detailed("from generated/Python", client=edge, body=report)
    seen["report"] = [answer.status_code, "X-Event-Id" in answer.headers]
    relayed = RelayedReport.from_dict({"task_id": "relayed", **report.to_dict()})
    seen["relayed"] = [each.status for each in report_many_progresses.sync(client=edge, body=[relayed, relayed])]
    report.progress = 101
    refused = report_progress.sync("too far", client=edge, body=report)
    assert isinstance(refused, Error)
    seen["refused"] = [refused.error_code, refused.errors[0].field]

with ViewClient(view_url, reader, auth_header_name="X-Auth-Token", prefix="", httpx_args=direct) as view:
    listed = list_task_states.sync(client=view, health=[Health.OK, Health.SLOW])
    seen["listed"] = [[each.task_id, each.health] for each in listed.tasks]
    shown = show_task_state.sync("with space ü", client=view)
    seen["shown"] = [shown.task_id, shown.progress, [each.subtask_name for each in shown.subtasks]]
    seen["fleet"] = show_fleet.sync(client=view).tasks
    vendors = list_tasks.sync(client=view)
    seen["vendors"] = [[each.id, each.state, len(each.sub_tasks)] for each in vendors.tasks]
    seen["vendor"] = show_task.sync("with space ü", client=view).sub_tasks[0].progress
    seen["missing"] = show_task_state.sync("nobody", client=view).status

print(json.dumps(seen))

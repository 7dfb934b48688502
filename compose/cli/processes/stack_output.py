"""What `up` and `demo` print about the local stack. It starts and stops nothing."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal

from taskstream.compose.cli.output.terminal import echo
from taskstream.compose.local.local_stack import LocalStack
from taskstream.compose.local.supervised_service import ServiceDied, ServiceEvent, ServiceReady
from taskstream.compose.remedies import difference_remedy
from taskstream.schemas.topics import Difference

_EXAMPLE_REPORT = {
    "subtask_name": "MIGRATE_LINUX_FILE",
    "progress": 42,
    "replicatesize": 420_000_000,
    "totalsize": 1_000_000_000,
    "process_trace": "copying /srv",
}


def print_line(message: str) -> None:
    """Print a line on standard error; a terminal that is gone is ignored."""
    with contextlib.suppress(OSError):
        echo(message, err=True)


def print_process_event(event: ServiceEvent) -> None:
    """Print what happened to a process, and the last lines of the log of one that died."""
    match event:
        case ServiceReady(name, pid, after_s):
            print_line(f"{name}: ready after {after_s:.1f} s (pid {pid})")
        case ServiceDied(name, code, last_lines, _, restart_in_s):
            print_line(f"{name}: {_ended(code)}, starting it again in {restart_in_s:g} s; its last lines:")
            print_line("\n".join(f"  | {line}" for line in last_lines.splitlines() or ["(no output)"]))
        case _:
            print_line(f"{event.service}: {'killed, it did not stop in time' if event.forced else 'stopped'}")


def print_difference(difference: Difference) -> None:
    """Print a harmless difference between a topic and its declaration."""
    print_line(f"note: {difference.topic} {difference.what}: {difference_remedy(difference)}")


def addresses(stack: LocalStack) -> str:
    """The addresses of the stack's servers, and curl commands to try them."""
    settings, token = stack.settings, stack.token or "YOUR-TOKEN"
    task = "v3/tasks/3f1c-first"
    report = ["curl", "-i", "-X", "PUT", f"{stack.edge_url}/{task}/progress", "-H", f"X-Auth-Token: {token}"]
    report += ["-H", "Content-Type: application/json", "-d", json.dumps(_EXAMPLE_REPORT, separators=(",", ":"))]
    read = ["curl", "-s", f"{stack.view_url}/{task}", "-H", f"X-Auth-Token: {token}"]
    lines = [
        f"  edge    {stack.edge_url}",
        f"  view    {stack.view_url}",
        *([] if (link := stack.new_sign_in_url()) is None else [f"  sign-in {link} (once, within ten minutes)"]),
        *(f"  worker  {url}/metrics" for url in stack.worker_urls),
        *([f"  registry {stack.registry_url} (--schema-registry of commands)"] if stack.registry_url else []),
        f"  kafka   {stack.kafka.bootstrap_servers} (topics {settings.topics.prefix}.*)",
        f"  data    {settings.data_dir} (logs in {settings.data_dir / 'logs'})",
        "report progress:",
        f"  {shlex.join(report)}",
        "read it back:",
        f"  {shlex.join(read)}",
    ]
    return "\n".join(lines)


def _ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

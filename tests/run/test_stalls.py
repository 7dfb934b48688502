"""Processes of a run stand still for a moment, those that are spared and those of others never, and all go on at the end."""

from __future__ import annotations

import os
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path

from taskstream.compose.local.guarded_process import GuardedProcess
from tests.run import stalls
from tests.run.stalls import Stalls, state_of
from tests.run.watcher import RUN_VARIABLE
from tests.waiting import wait_until

SLEEPS = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)")


def test_processes_of_the_run_stand_still_and_go_on(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(stalls, "LONGEST_S", 0.3)
    run_id = uuid.uuid4().hex
    others = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    ours = others | {RUN_VARIABLE: f"another:{run_id}"}
    seen: dict[int, set[str]] = {}

    def have_stood_still() -> bool:
        for pid, states in seen.items():
            states.add(state_of(pid))
        return all(seen[pid] >= {"S", "T"} for pid in mine)

    with ExitStack() as running:

        def start(environment: dict[str, str], *arguments: str) -> int:
            process = GuardedProcess((*SLEEPS, *arguments), tmp_path / "output", environment=environment)
            process.start()
            running.callback(process.stop, 60.0)
            seen[process.pid] = set()
            return process.pid

        mine = [start(ours), start(ours)]
        spared, other = start(ours, "watcher.py"), start(others)
        with Stalls(run_id, 100.0, 7) as stopping:
            wait_until(have_stood_still, lambda: f"{stopping.stopped} were stopped: {seen}")
        wait_until(lambda: [state_of(pid) for pid in mine] == ["S", "S"])
        assert "T" not in seen[spared] | seen[other]

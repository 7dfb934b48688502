"""`make containers`: builds the image, runs the Compose file on an engine of its own, and asserts from outside.

It prints one line per finding, and exits with 1 if one is bad and with 2 if something that it needs is missing. It leaves
nothing behind. With --folder, images are kept there for the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from taskstream.compose.local.ports import is_free
from tests.containers.engine import Engine, missing
from tests.containers.images import ROOT, Images, python_image
from tests.containers.stack import Stack
from tests.waiting import NotYet, wait_until

EDGE, VIEW, PROMETHEUS, REGISTRY = (f"http://127.0.0.1:{port}" for port in (8080, 8081, 9090, 8085))
PORTS = (8080, 8081, 8085, 9090, 9092)
OUR_UID = 10_001
KILLED = 137


class ContainerChecks:
    """The checks, in the order in which they run. `bad` counts the findings that are not good."""

    def __init__(self, engine: Engine, images: Images) -> None:
        self.bad = 0
        self._engine, self._images = engine, images
        self._token = ""
        self._percent = 0

    def run(self, *, built: bool) -> None:
        """Build, start, check, kill, stop, start again."""
        images, engine = self._images, self._engine
        images.bring(python_image())
        began_s = time.monotonic()
        build = ("build", "--network", "host", "--file", str(ROOT / "compose" / "Dockerfile"))
        if not built:
            engine.run(*build, "--tag", images.own, str(ROOT))
        taken_s = time.monotonic() - began_s
        size, base = (images.megabytes(name) for name in (images.own, python_image()))
        self._note("image", f"built in {taken_s:.0f} s: {size:.0f} MB, {base:.0f} MB of it the base")
        for name in images.named:
            images.bring(name)
        self._note("images", _words("stand-ins for ", images.stood_in) + _words("; left out: ", images.absent))
        self._stack = Stack(engine, images)
        try:
            self._start()
            self._look()
            self._kill_each()
            self._stop_each()
            self._start_again()
        except (AssertionError, RuntimeError, KeyError, OSError) as error:
            self._note("run", f"{type(error).__name__}: {error}", good=False)
        finally:
            self._stack.compose("down", "--volumes")

    def _start(self) -> None:
        stack = self._stack
        self._token = stack.compose("run", "--rm", "token").split()[-1]
        self._note("token", f"the token service printed one of {len(self._token)} characters")
        began_s = time.monotonic()
        stack.compose("up", "--detach")
        for name in stack.lasting:
            stack.wait_healthy(name)
        self._note("up", f"all of {', '.join(stack.lasting)} healthy after {time.monotonic() - began_s:.0f} s")
        for name in ("topics", "schemas"):
            code = stack.state(name)["ExitCode"]
            self._note(name, f"ended with exit code {code}", good=code == 0)

    def _look(self) -> None:
        stack = self._stack
        for name in stack.lasting:
            processes = stack.processes(name)
            uids = sorted({each.uid for each in processes})
            own = stack.services[name]["image"] == self._images.own
            good = (
                (uids == [OUR_UID] if own else 0 not in uids)
                and all(each.no_new_privileges and each.capabilities == 0 for each in processes)
                and not (stack.services[name].get("read_only") and stack.writes_to_root(name))
            )
            root = "read-only root" if stack.services[name].get("read_only") else "its root is writable, as declared"
            self._note(f"{name} hardened", f"uid {uids}, no capabilities, no new privileges, {root}", good=good)
        self._follow_report("report")
        self._doctor()
        self._prometheus()

    def _kill_each(self) -> None:
        for name in self._stack.lasting:
            began_s = time.monotonic()
            self._stack.kill(name)
            self._stack.wait_healthy(name)
            healthy_s = time.monotonic() - began_s
            self._follow_report(f"{name} killed", f"healthy again after {healthy_s:.0f} s; ")
        for name in self._stack.lasting:
            self._stack.wait_healthy(name)
        self._doctor()

    def _stop_each(self) -> None:
        for name in reversed(self._stack.lasting):
            grace_s = float(self._stack.services[name]["stop_grace_period"].removesuffix("s"))
            began_s = time.monotonic()
            code = self._stack.stop(name)
            taken_s = time.monotonic() - began_s
            told = f"after {taken_s:.1f} of {grace_s:g} s, exit code {code}"
            self._note(f"{name} stopped", told, good=code != KILLED and taken_s < grace_s)

    def _start_again(self) -> None:
        stack = self._stack
        stack.compose("down")
        leftover = stack.leftover_volumes()
        self._note("down", _words("left anonymous volumes: ", sorted(leftover)) or "no volume left", good=not leftover)
        stack.compose("up", "--detach")
        for name in stack.lasting:
            stack.wait_healthy(name)
        wait_until(lambda: self._shown() == self._percent, pause_s=0.5)
        self._note("up again", f"the task of before is at {self._percent} %")
        self._follow_report("report after that")

    def _follow_report(self, what: str, before: str = "") -> None:
        """PUT a report as an agent does, with its retries, until the view shows it."""
        self._percent += 1
        began_s = time.monotonic()
        wait_until(lambda: _put(self._token, self._percent) == 200, pause_s=0.5)
        wait_until(lambda: self._shown() == self._percent, pause_s=0.5)
        self._note(what, f"{before}a report is in the view after {time.monotonic() - began_s:.1f} s")

    def _shown(self) -> object:
        return _get(f"{VIEW}/tasks/containers", self._token)["subtasks"][0]["progress"]

    def _doctor(self) -> None:
        command = [
            sys.executable,
            "-m",
            "taskstream",
            "doctor",
            "--edge",
            EDGE,
            "--view",
            VIEW,
            "--strict",
            "-o",
            "json",
        ]
        settings = {
            "TASKSTREAM_DOCTOR_TOKEN": self._token,
            "TASKSTREAM_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
            "TASKSTREAM_SCHEMA_REGISTRY": REGISTRY,
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TASKSTREAM_")}
        done = subprocess.run(command, env=environment | settings, capture_output=True, text=True, check=False)
        found = json.loads(done.stdout or "[]")
        wrong = [f"{each['check']}: {each['what']}" for each in found if each["verdict"] != "good"]
        told = "; ".join(wrong) or f"{len(found)} findings, all good"
        self._note("doctor", done.stderr if not found else told, good=done.returncode == 0 and not wrong)

    def _prometheus(self) -> None:
        def targets() -> list[dict[str, Any]]:
            return list(_get(f"{PROMETHEUS}/api/v1/targets")["data"]["activeTargets"])

        def rules() -> list[dict[str, Any]]:
            groups = _get(f"{PROMETHEUS}/api/v1/rules")["data"]["groups"]
            return [rule for group in groups for rule in group["rules"]]

        wait_until(lambda: {each["health"] for each in targets()} == {"up"}, pause_s=1)
        wait_until(lambda: "unknown" not in {each["health"] for each in rules()}, pause_s=1)
        failing = [each["name"] for each in rules() if each["health"] != "ok" or each.get("state") == "firing"]
        told = f"{len(targets())} targets up, {len(rules())} rules evaluated, none fails or fires"
        self._note("prometheus", _words("failing or firing: ", failing) or told, good=not failing)

    def _note(self, what: str, told: str, *, good: bool = True) -> None:
        self.bad += not good
        sys.stdout.write(f"{'good' if good else 'BAD':5} {what:22} {told}\n")
        sys.stdout.flush()


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make containers")
    parser.add_argument("--folder", type=Path, help="keep the engine's files here for the next run")
    parser.add_argument("--built", action="store_true", help="take the image that a run in the same folder has built")
    chosen = parser.parse_args()
    folder = chosen.folder
    problem = missing() or "".join(f"port {port} is taken; " for port in PORTS if not is_free(port))
    if problem:
        sys.stderr.write(f"{problem.removesuffix('; ')}\n")
        return 2
    with ExitStack() as opened:
        if folder is None:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="taskstream-containers-")))
        folder.mkdir(parents=True, exist_ok=True)
        engine = opened.enter_context(Engine(folder))
        checks = ContainerChecks(engine, Images(engine))
        checks.run(built=chosen.built)
    sys.stdout.write(f"{checks.bad} of the findings are bad\n" if checks.bad else "every finding is good\n")
    return 1 if checks.bad else 0


def _put(token: str, percent: int) -> int:
    """The status of one report, 0 if there was no response."""
    report = {"subtask_name": "MIGRATE_LINUX_FILE", "progress": percent, "replicatesize": percent, "totalsize": 100}
    request = urllib.request.Request(
        f"{EDGE}/v3/tasks/containers/progress",
        json.dumps({**report, "process_trace": "copying"}).encode(),
        {"X-Auth-Token": token, "Content-Type": "application/json", "Idempotency-Key": f"c-{percent}"},
        method="PUT",
    )
    try:
        with _direct.open(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _get(url: str, token: str = "") -> Any:
    """The JSON at a URL; a server that does not answer yet is not yet there."""
    try:
        with _direct.open(urllib.request.Request(url, headers={"X-Auth-Token": token}), timeout=30) as response:
            return json.load(response)
    except OSError as error:
        raise NotYet(f"{url}: {error}") from error


def _words(before: str, names: list[str]) -> str:
    return before + ", ".join(names) if names else ""


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

if __name__ == "__main__":
    sys.exit(main())

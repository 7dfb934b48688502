"""Clients that generators make of our OpenAPI documents, used against a running edge and a running view."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.consumer.view.views import RunningView, new_state_topic, now_us, running_view, series
from tests.producer.edges import RunningEdge

PROGRAMS = Path(__file__).parents[1] / "foreign" / "openapi"
SEEN = {
    "ready": "ready",
    "report": [200, True],
    "relayed": [200, 200],
    "refused": ["TASKSTREAM.0400", "progress"],
    "listed": [["t-1", "OK"], ["with space ü", "OK"]],
    "shown": ["with space ü", 50, ["MIGRATE_LINUX_FILE"]],
    "fleet": 2,
    "vendors": [["t-1", "RUNNING", 1], ["with space ü", "RUNNING", 1]],
    "vendor": 50,
    "missing": 404,
}


@pytest.fixture(scope="module")
def view(broker, tmp_path_factory):
    states = new_state_topic(broker)
    states.put({f"project-1/{task}/MIGRATE_LINUX_FILE": series(now_us()) for task in ("t-1", "with space ü")})
    with running_view(broker, states.topics.prefix, tmp_path_factory.mktemp("view")) as running:
        yield running


@pytest.fixture
def documents(edge: RunningEdge, view: RunningView, tmp_path: Path) -> Path:
    """A folder with the documents that the two servers serve."""
    (tmp_path / "edge.json").write_bytes(edge.get("/openapi.json").data)
    (tmp_path / "view.json").write_bytes(view.get("/openapi.json").data)
    return tmp_path


def run(*command: str | Path, folder: Path, path: Path) -> str:
    """What a program prints; its own environment's programs come first on the PATH."""
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "NO_PROXY": "*"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def addresses(edge: RunningEdge, view: RunningView) -> tuple[str, ...]:
    return edge.url, view.url, edge.token, view.tokens["reader"]


def seen(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_openapi_python_client(edge, view, documents, foreign_python):
    programs = foreign_python.parent
    for name in ("edge", "view"):
        generate = (programs / "openapi-python-client", "generate", "--meta", "none", "--path", f"{name}.json")
        run(*generate, "--output-path", f"{name}_client", folder=documents, path=programs)
    program = shutil.copy(PROGRAMS / "generated.py", documents)
    assert seen(run(foreign_python, program, *addresses(edge, view), folder=documents, path=programs)) == SEEN


def test_openapi_typescript(edge, view, documents, openapi_folder):
    programs = openapi_folder / "node_modules" / ".bin"
    (documents / "node_modules").symlink_to(openapi_folder / "node_modules")
    (documents / "package.json").write_text('{"type": "module"}')
    for name in ("edge", "view"):
        run(programs / "openapi-typescript", f"{name}.json", "-o", f"{name}.ts", folder=documents, path=programs)
    shutil.copy(PROGRAMS / "generated.ts", documents)
    tsc = (programs / "tsc", "--strict", "--noUncheckedIndexedAccess", "--module", "nodenext", "--target", "es2022")
    run(*tsc, "--types", "node", "generated.ts", folder=documents, path=programs)
    assert seen(run("node", "generated.js", *addresses(edge, view), folder=documents, path=programs)) == SEEN

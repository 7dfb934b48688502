"""The wheel, built as the image builds it and run away from the sources: it is complete and works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.topic_admin import create_topics
from taskstream.producer.callers.token_file import token_line
from taskstream.schemas.http.caller import Role
from taskstream.schemas.topics import Topics
from tests.private_files import write_private
from tests.producer.edges import REPORT
from tests.waiting import LIMIT_S, wait_until

ROOT = Path(__file__).parent.parent.parent
ROOMS = ("schemas", "producer", "consumer", "compose")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder, with the wheel before the sources on its path."""
    away = installed.parent / "away"
    away.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", *words]
    return subprocess.run(command, cwd=away, env=environment, capture_output=True, text=True, check=False)


def test_it_holds_every_file_of_the_four_rooms_and_no_other(installed):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *ROOMS],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    kept = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    (wheel,) = installed.parent.glob("*.whl")
    found = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}

    own = {"taskstream/__init__.py", "taskstream/__main__.py", "taskstream/py.typed"}
    assert {name for name in found if ".dist-info/" not in name} == {f"taskstream/{name}" for name in kept} | own


def test_its_only_top_level_name_is_taskstream(installed):
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {"taskstream"}


FOREIGN = """
import schemas
import taskstream
from taskstream import ProgressClient, batches

assert schemas.MINE and batches and ProgressClient, "both are found"
print(taskstream.__file__)
"""


@pytest.mark.slow
def test_a_script_beside_foreign_packages_of_the_same_names_finds_ours(installed, tmp_path):
    for name in (*ROOMS, "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("MINE = True\n")
    (tmp_path / "script.py").write_text(FOREIGN)
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert Path(done.stdout.strip()).is_relative_to(installed)


@pytest.mark.slow
def test_a_strict_type_check_of_a_script_sees_our_types(installed, tmp_path):
    (tmp_path / "script.py").write_text("from taskstream import RetryPolicy\n\nreveal_type(RetryPolicy().deadline_s)\n")
    python = environment_with(installed, tmp_path / "venv")
    options = ["--strict", "--python-executable", str(python), "--cache-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "mypy", *options, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert re.search(r'Revealed type is "(builtins\.)?float"', done.stdout), done.stdout
    assert done.returncode == 0, done.stdout


def test_the_schemas_and_the_page_are_found_in_it(installed):
    tell = "import json, taskstream; from taskstream.schemas.catalog import released; from importlib import resources; "
    tell += (
        "page = sorted(each.name for each in resources.files('taskstream.consumer.view').joinpath('page').iterdir()); "
    )
    tell += "print(json.dumps([taskstream.__file__, [each.title for each in released()], page]))"

    where, titles, page = json.loads(run(installed, "-c", tell).stdout)

    assert Path(where).is_relative_to(installed)
    assert titles == sorted(path.name.removesuffix(".avsc") for path in (ROOT / "schemas" / "avro").glob("*.avsc"))
    assert page == sorted(path.name for path in (ROOT / "consumer" / "view" / "page").iterdir())


def environment_with(installed: Path, folder: Path) -> Path:
    """The Python of an environment that has the wheel and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    shutil.copytree(installed / "taskstream", packages / "taskstream")
    return folder / "bin" / "python"


def test_its_command_line_tells_what_it_can_do(installed):
    done = run(installed, "-m", "taskstream", "--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert "edge " in done.stdout


def test_its_edge_takes_reports(installed, broker: KafkaClient, topic_prefix, tmp_path):
    create_topics(broker.config(), Topics(topic_prefix, partitions=1))
    write_private(tmp_path / "tokens", token_line("secret", "p", [Role.REPORT]) + "\n")
    command = [sys.executable, "-P", "-m", "taskstream", "edge", "--port", "0", "--tokens", str(tmp_path / "tokens")]
    command += ["--bootstrap-servers", broker.bootstrap_servers, "--prefix", topic_prefix]
    log = tmp_path / "log"
    with log.open("wb") as out:
        edge = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)}, stdout=out, stderr=out
        )
    try:
        wait_until(lambda: "listens on" in log.read_text())
        url = log.read_text().split("listens on ")[1].split()[0]
        wait_until(lambda: put(url) == 200)
    finally:
        edge.terminate()
        assert edge.wait(300) == 0


def put(url: str) -> int:
    import urllib3

    headers = {"X-Auth-Token": "secret", "Content-Type": "application/json"}
    path = f"{url}/v3/tasks/t/progress"
    try:
        return urllib3.request(
            "PUT", path, body=json.dumps(REPORT), headers=headers, retries=False, timeout=LIMIT_S
        ).status
    except urllib3.exceptions.HTTPError:
        return 0

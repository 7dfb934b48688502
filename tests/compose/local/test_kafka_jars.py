"""How Kafka's jars come into the cache: once, whole or not at all, and with a clear word when they cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from taskstream.compose.errors import KafkaInstallError, MissingProgramError
from taskstream.compose.local.kafka_jars import bring_jars, default_cache_dir, find_program

GIVES_JARS = 'for last; do :; done; sleep 0.3; mkdir -p "${last#*=}"; touch "${last#*=}/kafka_2.13-4.3.1.jar"'


@pytest.fixture
def programs(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def install_mvn(programs: Path, script: str) -> str:
    """A stand-in for Maven; gives the PATH to find it on. Its calls are counted in `calls` beside it."""
    mvn = programs / "mvn"
    mvn.write_text(f"#!/bin/sh\necho call >> {programs}/calls\n{script}\n")
    mvn.chmod(0o755)
    return str(programs)


def calls(programs: Path) -> int:
    return len((programs / "calls").read_text().splitlines())


def test_the_cache_is_where_xdg_says():
    assert default_cache_dir({"XDG_CACHE_HOME": "/x/cache"}) == Path("/x/cache/taskstream")


@pytest.mark.parametrize("environment", [{}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}])
def test_without_a_usable_xdg_the_cache_is_at_home(environment):
    assert default_cache_dir(environment) == Path.home() / ".cache" / "taskstream"


@pytest.mark.parametrize("program, package", [("java", "openjdk-17-jre-headless"), ("mvn", "maven")])
def test_a_missing_program_is_named_and_how_to_get_it(programs, program, package):
    with pytest.raises(MissingProgramError, match=rf"{program} is not on the PATH: .*{package}") as missing:
        find_program(program, str(programs))
    assert "\n" not in str(missing.value)


def test_jars_are_brought_once(tmp_path, programs):
    path = install_mvn(programs, GIVES_JARS)
    told: list[str] = []
    jars = bring_jars(tmp_path / "cache", told.append, path)
    assert bring_jars(tmp_path / "cache", told.append, path) == jars
    assert [jar.name for jar in jars.iterdir()] == ["kafka_2.13-4.3.1.jar"]
    assert (calls(programs), len(told)) == (1, 1)


def test_jars_that_are_there_need_no_maven(tmp_path, programs):
    jars = bring_jars(tmp_path / "cache", print, install_mvn(programs, GIVES_JARS))
    assert bring_jars(tmp_path / "cache", print, str(tmp_path / "nothing")) == jars


def test_processes_that_race_bring_them_once(tmp_path, programs):
    path = install_mvn(programs, GIVES_JARS)
    program = (
        "from pathlib import Path; from taskstream.compose.local.kafka_jars import bring_jars; "
        f"print(bring_jars(Path({str(tmp_path / 'cache')!r}), len, {path!r}))"
    )
    racers = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(3)]
    answers = {racer.communicate(timeout=300)[0] for racer in racers}
    assert len(answers) == 1
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert calls(programs) == 1


def test_maven_s_first_complaint_is_told(tmp_path, programs):
    path = install_mvn(programs, "echo '[ERROR] Unknown host repo'; echo '[ERROR] more'; exit 3")
    with pytest.raises(KafkaInstallError, match=r"exit code 3\): \[ERROR\] Unknown host repo; ") as failed:
        bring_jars(tmp_path / "cache", print, path)
    assert "\n" not in str(failed.value)


def test_what_a_failed_maven_left_is_not_taken_for_jars(tmp_path, programs):
    with pytest.raises(KafkaInstallError):
        bring_jars(tmp_path / "cache", print, install_mvn(programs, f"{GIVES_JARS}; exit 1"))
    jars = bring_jars(tmp_path / "cache", print, install_mvn(programs, GIVES_JARS))
    assert list(jars.parent.iterdir()) == [jars]


def test_jars_without_kafka_among_them_are_refused(tmp_path, programs):
    with pytest.raises(KafkaInstallError, match=r"brought no kafka_2\.13-4\.3\.1\.jar"):
        bring_jars(tmp_path / "cache", print, install_mvn(programs, "exit 0"))

"""The download of Kafka's jars into the cache: once, completely or not at all, with a clear error if it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from taskstream.compose.errors import KafkaInstallError, MissingProgramError
from taskstream.compose.local.kafka_jars import default_cache_dir, find_program, install_jars

GIVES_JARS = 'for last; do :; done; sleep 0.3; mkdir -p "${last#*=}"; touch "${last#*=}/kafka_2.13-4.3.1.jar"'


@pytest.fixture
def programs(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def install_mvn(programs: Path, script: str) -> str:
    """Install a script in place of Maven; return its PATH. It appends a line to the file `calls` at each call."""
    mvn = programs / "mvn"
    mvn.write_text(f"#!/bin/sh\necho call >> {programs}/calls\n{script}\n")
    mvn.chmod(0o755)
    return str(programs)


def calls(programs: Path) -> int:
    return len((programs / "calls").read_text().splitlines())


def test_the_cache_is_in_xdg_cache_home():
    assert default_cache_dir({"XDG_CACHE_HOME": "/x/cache"}) == Path("/x/cache/taskstream")


@pytest.mark.parametrize("environment", [{}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}])
def test_without_an_absolute_xdg_cache_home_the_cache_is_in_the_home_folder(environment):
    assert default_cache_dir(environment) == Path.home() / ".cache" / "taskstream"


@pytest.mark.parametrize("program, package", [("java", "openjdk-17-jre-headless"), ("mvn", "maven")])
def test_a_missing_program_is_named_with_its_package(programs, program, package):
    with pytest.raises(MissingProgramError, match=rf"{program} is not on the PATH: .*{package}") as missing:
        find_program(program, str(programs))
    assert "\n" not in str(missing.value)


def test_jars_are_downloaded_once(tmp_path, programs):
    path = install_mvn(programs, GIVES_JARS)
    notified: list[str] = []
    jars = install_jars(tmp_path / "cache", notified.append, path)
    assert install_jars(tmp_path / "cache", notified.append, path) == jars
    assert [jar.name for jar in jars.iterdir()] == ["kafka_2.13-4.3.1.jar"]
    assert (calls(programs), len(notified)) == (1, 1)


def test_cached_jars_need_no_maven(tmp_path, programs):
    jars = install_jars(tmp_path / "cache", print, install_mvn(programs, GIVES_JARS))
    assert install_jars(tmp_path / "cache", print, str(tmp_path / "nothing")) == jars


def test_concurrent_processes_download_them_once(tmp_path, programs):
    path = install_mvn(programs, GIVES_JARS)
    program = (
        "from pathlib import Path; from taskstream.compose.local.kafka_jars import install_jars; "
        f"print(install_jars(Path({str(tmp_path / 'cache')!r}), len, {path!r}))"
    )
    racers = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(3)]
    printed = {racer.communicate(timeout=300)[0] for racer in racers}
    assert len(printed) == 1
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert calls(programs) == 1


def test_maven_s_first_error_is_in_the_message(tmp_path, programs):
    path = install_mvn(programs, "echo '[ERROR] Unknown host repo'; echo '[ERROR] more'; exit 3")
    with pytest.raises(KafkaInstallError, match=r"exit code 3\): \[ERROR\] Unknown host repo; ") as failed:
        install_jars(tmp_path / "cache", print, path)
    assert "\n" not in str(failed.value)


def test_files_of_a_failed_download_are_not_used(tmp_path, programs):
    with pytest.raises(KafkaInstallError):
        install_jars(tmp_path / "cache", print, install_mvn(programs, f"{GIVES_JARS}; exit 1"))
    jars = install_jars(tmp_path / "cache", print, install_mvn(programs, GIVES_JARS))
    assert list(jars.parent.iterdir()) == [jars]


def test_a_download_without_kafka_is_refused(tmp_path, programs):
    with pytest.raises(KafkaInstallError, match=r"downloaded no kafka_2\.13-4\.3\.1\.jar"):
        install_jars(tmp_path / "cache", print, install_mvn(programs, "exit 0"))

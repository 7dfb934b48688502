"""The download of the schema registry into the cache: once, completely or not at all, with a clear error if it fails."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from taskstream.compose.errors import MissingProgramError, RegistryInstallError
from taskstream.compose.local.kafka_node import clear_temporary_files
from taskstream.compose.local.registry.local_registry import (
    REGISTRY_VERSION,
    install_registry,
    registry_command,
    registry_url,
)
from taskstream.compose.remedies import message_of

JAR = f"apicurio-registry-app-{REGISTRY_VERSION}-runner.jar"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The registry's archive, as Maven has it."""
    (tmp_path / JAR).write_text("a jar")
    with tarfile.open(tmp_path / "archive", "w:gz") as packed:
        packed.add(tmp_path / JAR, JAR)
    return tmp_path / "archive"


def mvn(tmp_path: Path, script: str) -> str:
    """Install a script in place of Maven; return its PATH. It appends a line to the file `calls` at each call."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "mvn"
    program.write_text(f"#!/bin/sh\necho call >> {folder}/calls\nfor last; do :; done\n{script}\n")
    program.chmod(0o755)
    return str(folder)


def test_it_is_downloaded_once_and_needs_no_maven_then(tmp_path, archive):
    path = mvn(tmp_path, f'/bin/cp {archive} "${{last#*=}}"')
    notified: list[str] = []
    jar = install_registry(tmp_path / "cache", notified.append, path)
    assert jar.read_text() == "a jar"
    assert install_registry(tmp_path / "cache", notified.append, str(tmp_path / "nothing")) == jar
    assert len(notified) == 1
    assert (tmp_path / "bin/calls").read_text() == "call\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo '[ERROR] Unknown host repo'; exit 3",
            r"\(exit code 3\): \[ERROR\] Unknown host repo; check the network",
        ),
        ('echo nonsense > "${last#*=}"', "cannot be unpacked"),
        ("exit 0", "cannot be unpacked"),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_is_told_with_the_remedy(tmp_path, script, said):
    with pytest.raises(RegistryInstallError, match=said) as failed:
        install_registry(tmp_path / "cache", print, mvn(tmp_path, script))
    assert "leave out --registry" in message_of(failed.value)
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [f"apicurio-registry-{REGISTRY_VERSION}.lock"]


def test_without_maven_the_package_is_named(tmp_path):
    with pytest.raises(MissingProgramError, match="apt-get install maven"):
        install_registry(tmp_path, print, str(tmp_path))


def test_it_listens_on_this_machine_alone_and_keeps_its_schemas_on_kafka(tmp_path):
    command = registry_command(tmp_path / JAR, tmp_path, 8085, "127.0.0.1:9092")
    assert "-Dquarkus.http.host=127.0.0.1" in command
    assert f"-Djava.io.tmpdir={tmp_path}/tmp" in command
    assert "-Dapicurio.storage.kind=kafkasql" in command
    assert "-Dapicurio.kafkasql.bootstrap.servers=127.0.0.1:9092" in command
    assert registry_url(8085) == "http://127.0.0.1:8085/apis/ccompat/v7"


def test_what_a_killed_registry_left_is_removed_before_the_next(tmp_path):
    clear_temporary_files(tmp_path / "registry")
    (tmp_path / "registry/tmp/vertx-cache").mkdir()
    clear_temporary_files(tmp_path / "registry")
    assert list((tmp_path / "registry/tmp").iterdir()) == []

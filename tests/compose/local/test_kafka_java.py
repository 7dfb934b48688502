"""The java command lines: a class archive is used only with the java and the jars that created it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from taskstream.compose.local.kafka_jars import default_cache_dir, find_program, install_jars
from taskstream.compose.local.kafka_java import PORT_TAKEN, KafkaJava, explain


@pytest.fixture
def kafka_java(tmp_path):
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "a.jar").touch()
    return KafkaJava(sys.executable, tmp_path / "jars")


def test_the_archive_of_the_same_java_and_jars_is_the_same(kafka_java):
    assert kafka_java.class_archive == KafkaJava(kafka_java.java, kafka_java.jars).class_archive


def test_another_java_has_another_archive(kafka_java):
    assert kafka_java.class_archive.name != KafkaJava("/bin/sh", kafka_java.jars).class_archive.name


def test_other_jars_have_another_archive(kafka_java):
    before = kafka_java.class_archive
    (kafka_java.jars / "b.jar").touch()
    assert kafka_java.class_archive != before


def test_moved_jars_have_another_archive(kafka_java, tmp_path):
    before = kafka_java.class_archive
    kafka_java.jars.rename(tmp_path / "moved")
    assert KafkaJava(kafka_java.java, tmp_path / "moved").class_archive.name != before.name


def test_java_uses_the_archive(private_kafka):
    java = KafkaJava(find_program("java"), install_jars(default_cache_dir(os.environ), print))
    archive = java.class_archive
    command = [java.java, "-XX:+UseSerialGC", "-Xshare:on", f"-XX:SharedArchiveFile={archive}", "-Xlog:class+load"]
    loaded = subprocess.run(
        [*command, "-cp", f"{java.jars}/*", "kafka.tools.StorageTool", "random-uuid"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "shared objects file (top)" in loaded.stdout


def test_a_java_that_is_too_old_is_reported_in_one_line():
    message = explain(
        "Kafka", 1, "Exception in thread main java.lang.UnsupportedClassVersionError: kafka/Kafka\n\tat x"
    )
    assert "install Java 17 or newer" in message
    assert "\n" not in message


def test_the_reason_of_a_failed_start_is_shown_however_much_kafka_logs_after_it():
    lines = [
        *["[..] INFO before"] * 50,
        "[..] ERROR DataPlaneAcceptor Unable to start acceptor for CONTROLLER",
        "org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:1: Address already in use.",
        *["\tat somewhere"] * 50,
        *["[..] INFO after"] * 50,
    ]
    message = explain("Kafka", 1, "\n".join(lines))
    assert "Unable to start acceptor" in message
    assert PORT_TAKEN in message
    assert len(message.splitlines()) < 30

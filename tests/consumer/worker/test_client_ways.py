"""Which way a worker reads and produces: directly where that was tested, else with an object per record, and it says why."""

from __future__ import annotations

from dataclasses import replace

from structlog.testing import capture_logs

from taskstream.consumer.kafka.direct.batch_produce import produce_packed
from taskstream.consumer.kafka.direct.direct_fetch import DirectFetch
from taskstream.consumer.kafka.direct.message_fetch import MessageFetch
from taskstream.consumer.worker.run_worker import client_ways
from taskstream.consumer.worker.settings import WorkerSettings
from taskstream.schemas.topics import Topics

SETTINGS = WorkerSettings(Topics(), "group", "one")


def test_with_the_installed_version_both_are_direct_and_nothing_is_logged():
    with capture_logs() as logged:
        assert client_ways(SETTINGS) == (DirectFetch, produce_packed)
    assert logged == []


def test_with_another_version_both_are_ordinary_and_the_log_says_why():
    with capture_logs() as logged:
        assert client_ways(SETTINGS, lambda: "confluent-kafka 9 was not tested") == (MessageFetch, None)
    (line,) = logged
    assert (line["event"], line["why"]) == (
        "records are read and produced as objects",
        "confluent-kafka 9 was not tested",
    )


def test_switched_off_no_version_is_asked_for():
    asked = []
    assert client_ways(replace(SETTINGS, direct=False), lambda: asked.append(1)) == (MessageFetch, None)
    assert asked == []

"""What the command line adds to an error of the library: the options to type."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from taskstream.compose.errors import StackPortTaken, TopicsDiffer, ViewUnreachable, ViewUntrusted
from taskstream.compose.remedies import difference_remedy, message_of
from taskstream.consumer.errors import CommittedOffsetGone, ConsumerError, ExportExists, KafkaFailed, TopicsMissing
from taskstream.schemas.topics import Difference, DifferenceKind

ROOT = Path(__file__).parent.parent.parent
LIBRARY = ("schemas", "producer", "consumer", "compose/server", "compose/local")
OPTION = re.compile(r"(?<![\w-])--[a-z]")
WHOLE_OPTION = re.compile(r"--[a-z][a-z-]*")
"""An argument of a process that is started, and not a part of a sentence."""


@pytest.mark.parametrize("folder", LIBRARY)
def test_no_text_of_the_library_names_an_option(folder):
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and OPTION.search(node.value)
        and not WHOLE_OPTION.fullmatch(node.value)
    ]

    assert found == []


def test_the_message_is_followed_by_the_remedy():
    assert message_of(ExportExists("a.csv exists")) == (
        "a.csv exists; choose another FILE, or replace it with --overwrite"
    )


def test_an_error_without_a_remedy_is_its_message():
    assert message_of(ConsumerError("no luck")) == "no luck"


def test_a_remedy_names_what_the_error_is_about():
    assert message_of(TopicsMissing("x.state does not exist", "x")).endswith(
        "run `taskstream topics create --prefix x`"
    )
    assert "--worker-metrics-port" in message_of(StackPortTaken("port 1 is taken", "worker metrics"))
    gone = CommittedOffsetGone("lost", topic="x.progress", partition=3, group="x.worker")
    assert "--group x.worker --reset-offsets --to-earliest --topic x.progress:3 --execute" in message_of(gone)


def test_the_most_derived_class_decides():
    assert "--endpoint" in message_of(ViewUnreachable("cannot be reached"))
    assert "--ca-file" in message_of(ViewUntrusted("not trusted"))
    assert "--endpoint" not in message_of(ViewUntrusted("not trusted"))


@pytest.mark.parametrize(
    ("code", "option"),
    [
        (KafkaError._TRANSPORT, "--bootstrap-servers"),
        (KafkaError._AUTHENTICATION, "--kafka-config"),
        (KafkaError.INVALID_REPLICATION_FACTOR, "--replication-factor"),
        (KafkaError.TOPIC_EXCEPTION, "--prefix"),
    ],
)
def test_an_error_of_a_kafka_client_has_the_remedy_of_its_code(code, option):
    with pytest.raises(KafkaFailed) as failed:
        raise KafkaFailed("the topics cannot be described") from KafkaException(KafkaError(code))

    assert option in message_of(failed.value)


DIFFERENCES = {
    DifferenceKind.MISSING: "taskstream topics create",
    DifferenceKind.PARTITIONS: "--partitions 6",
    DifferenceKind.SETTING: "--topic p.state --add-config segment.ms=1000",
    DifferenceKind.UNEQUAL: "start with a new --prefix",
    DifferenceKind.REPLICAS: "--replication-factor 1000",
    DifferenceKind.IN_SYNC: "start the brokers that are down",
}


@pytest.mark.parametrize("kind", DifferenceKind)
def test_every_difference_of_a_topic_has_a_remedy(kind):
    difference = Difference("p.state", "differs", kind, fatal=True, setting="segment.ms", declared="1000", found="6")

    assert DIFFERENCES[kind] in difference_remedy(difference)
    assert DIFFERENCES[kind] in message_of(TopicsDiffer([difference]))


def test_a_remedy_that_several_topics_share_is_printed_once():
    missing = [
        Difference(name, "does not exist", DifferenceKind.MISSING, fatal=True) for name in ("p.state", "p.rates")
    ]

    assert message_of(TopicsDiffer(missing)) == (
        "p.state does not exist; p.rates does not exist; run `taskstream topics create`"
    )

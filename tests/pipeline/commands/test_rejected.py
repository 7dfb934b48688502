"""Rejected records on a real broker: listed, shown, driven back once, and not for ever."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Message

from taskstream.compose.cli import cli
from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.topics import Topics
from tests.pipeline.commands.replays import folded, put
from tests.pipeline.streams import producer, read_all, report, worker
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

HOUR_AGO_MS = (round(time.time()) - 3600) * 1000


@pytest.fixture
def partitions() -> int:
    return 3


def rejected(broker: KafkaClient, topics: Topics, *words: str) -> Result:
    verb, *rest = words
    arguments = ["rejected", verb, "--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix, *rest]
    return CliRunner().invoke(cli, arguments)


def answer(result: Result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def origin(topics: Topics, partition: int, offset: int, reason: str = "unknown_schema_id") -> list[tuple[str, str]]:
    """The headers that a worker gives to what it rejects."""
    told = {"reason": reason, "detail": "id 7", "topic": topics.progress.name, "partition": str(partition)}
    told |= {"offset": str(offset), "timestamp_ms": str(HOUR_AGO_MS + offset)}
    return [("ce_id", "1"), *((f"taskstream_{name}", value) for name, value in told.items())]


def reject(broker: KafkaClient, topics: Topics, count: int) -> list[tuple[str, bytes]]:
    """So many reports that a worker of old could not read, now readable, on the rejected topic in their order."""
    sent = [report(number % 5, HOUR_AGO_MS * 1000 + number, number) for number in range(count)]
    sending = producer(broker.bootstrap_servers)
    for offset, (key, value) in enumerate(sent):
        sending.produce(topics.rejected.name, value, key, headers=origin(topics, hash_of(key), offset))
    assert sending.flush(LIMIT_S) == 0
    return sent


def hash_of(key: str) -> int:
    """Some partition, the same for a key."""
    return sum(key.encode()) % 3


def on_progress(broker: KafkaClient, topics: Topics) -> list[Message]:
    return read_all(broker.bootstrap_servers, topics.progress.name)


def test_what_a_worker_rejects_is_listed_by_reason(broker, topics, tmp_path):
    with worker(broker.bootstrap_servers, topics, tmp_path):
        for value in (b"\x07broken", b"\x07again", b""):
            put(broker, topics.progress.name, b"p/t", value, 1)
        wait_until(lambda: len(read_all(broker.bootstrap_servers, topics.rejected.name)) == 3)

    groups = answer(rejected(broker, topics, "list", "-o", "json"))
    each = answer(rejected(broker, topics, "list", "--each", "-o", "json"))

    assert [(row["reason"], row["records"], row["waiting"], row["readable_now"]) for row in groups] == [
        ("wrong_magic_byte", 2, 2, 0),
        ("empty", 1, 1, 0),
    ]
    assert groups[0]["first"] <= groups[0]["last"]
    assert {row["origin"] for row in each} == {f"{topics.progress.name} 1:{offset}" for offset in range(3)}
    assert "wrong_magic_byte" in rejected(broker, topics, "list").stdout


def test_nothing_rejected_is_an_empty_list_and_no_failure(broker, topics):
    assert answer(rejected(broker, topics, "list", "-o", "json")) == []
    assert rejected(broker, topics, "list").exit_code == 0
    assert answer(rejected(broker, topics, "redrive", "-o", "json")) == {"to_drive": 0, "kept": {}}


def test_one_is_shown_to_the_last_byte_with_what_the_codec_makes_of_it(broker, topics):
    put(broker, topics.rejected.name, b"p/t", b"\x00\x00\x00\x00\x63A\nB", 2, headers=origin(topics, 1, 9))
    put(broker, topics.rejected.name, b"p/t", report(1, HOUR_AGO_MS * 1000, 5)[1], 2, headers=origin(topics, 1, 10))

    broken = rejected(broker, topics, "show", "2:0")
    readable = answer(rejected(broker, topics, "show", "2:1", "-o", "json"))

    assert broken.exit_code == 0, broken.output
    assert "00000000  00 00 00 00 63 41 0a 42                           |....cA.B|" in broken.stdout
    assert "unknown_schema_id: " in broken.stdout
    assert "ce_id: 1" in broken.stdout
    assert (readable["readable_now"], readable["now"]["replicatesize"], readable["offset"]) == (True, 5, 10)


@pytest.mark.parametrize("place", ["2:0", "9:0", "0:99999"])
def test_a_place_without_a_record_is_told(broker, topics, place):
    result = rejected(broker, topics, "show", place)

    assert result.exit_code == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words",
    [
        ["show"],
        ["show", "x"],
        ["show", "1:-2"],
        ["redrive", "--max-drives", "0"],
        ["redrive", "17"],
        ["list", "-o", "x"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_wrong_usage(broker, words):
    assert rejected(broker, Topics("never-there"), *words).exit_code == 2


def test_topics_that_are_not_there_are_told(broker):
    for words in (["list"], ["show", "0:0"], ["redrive"]):
        result = rejected(broker, Topics("never-there"), *words)
        assert (result.exit_code, "never-there" in result.stderr) == (1, True)


def test_a_redrive_is_dry_unless_it_is_told_to_execute(broker, topics):
    reject(broker, topics, 50)

    result = rejected(broker, topics, "redrive", "-o", "json")

    assert answer(result)["to_drive"] == 50
    assert "dry run" in result.stderr
    assert on_progress(broker, topics) == []


def test_driven_records_are_as_they_were_in_their_partition_and_order(broker, topics):
    sent = reject(broker, topics, 50)

    assert answer(rejected(broker, topics, "redrive", "--execute", "-o", "json"))["driven"] == 50

    found = on_progress(broker, topics)
    for key in {key for key, _ in sent}:
        mine = [each for each in found if each.key().decode() == key]
        assert [each.value() for each in mine] == [value for of, value in sent if of == key]
        assert {each.partition() for each in mine} == {hash_of(key)}
    offsets = [offset for offset, _ in enumerate(sent)]
    assert sorted(each.timestamp()[1] for each in found) == [HOUR_AGO_MS + offset for offset in offsets]
    assert all(each.headers() == [("ce_id", b"1"), ("taskstream_drives", b"1")] for each in found)


def test_a_second_run_drives_nothing_again_and_lists_them_as_driven(broker, topics):
    reject(broker, topics, 50)
    rejected(broker, topics, "redrive", "--execute")

    again = answer(rejected(broker, topics, "redrive", "--execute", "-o", "json"))

    assert again == {"driven": 0, "kept": {"driven already": 50}}
    assert len(on_progress(broker, topics)) == 50
    (group,) = answer(rejected(broker, topics, "list", "-o", "json"))
    assert (group["records"], group["driven"], group["waiting"]) == (50, 50, 0)


def test_a_note_can_be_shown_and_is_listed_nowhere(broker, topics):
    put(broker, topics.rejected.name, b"p/t", report(1, HOUR_AGO_MS * 1000, 5)[1], 0, headers=origin(topics, 1, 9))
    rejected(broker, topics, "redrive", "--execute")
    (note,) = [each for each in read_all(broker.bootstrap_servers, topics.rejected.name) if each.key() is None]

    shown = answer(rejected(broker, topics, "show", f"0:{note.offset()}", "-o", "json"))

    assert shown["offsets"] == [[0, 0]]
    assert len(answer(rejected(broker, topics, "list", "--each", "-o", "json"))) == 1


def test_only_what_is_named_or_asked_for_is_driven(broker, topics):
    reject(broker, topics, 20)
    place = answer(rejected(broker, topics, "list", "--each", "-o", "json"))[3]["place"]

    assert answer(rejected(broker, topics, "redrive", "--task", "task-3", "-o", "json"))["to_drive"] == 4
    assert answer(rejected(broker, topics, "redrive", "--reason", "empty", "-o", "json"))["to_drive"] == 0
    assert answer(rejected(broker, topics, "redrive", place, "--execute", "-o", "json"))["driven"] == 1
    assert len(on_progress(broker, topics)) == 1
    absent = rejected(broker, topics, "redrive", "0:99999", "--execute")
    assert (absent.exit_code, "0:99999" in absent.stderr) == (1, True)


def test_what_still_cannot_be_read_stays(broker, topics):
    put(broker, topics.rejected.name, b"p/t", b"\x07broken", 0, headers=origin(topics, 1, 9, "wrong_magic_byte"))

    assert answer(rejected(broker, topics, "redrive", "--execute", "-o", "json")) == {
        "driven": 0,
        "kept": {"still unreadable": 1},
    }


def test_what_comes_from_another_pipeline_stays(broker, topics):
    strange = origin(Topics("another"), 1, 9)
    put(broker, topics.rejected.name, b"p/t", report(1, HOUR_AGO_MS * 1000, 5)[1], 0, headers=strange)

    assert answer(rejected(broker, topics, "redrive", "--execute", "-o", "json"))["kept"] == {"not from here": 1}


def test_a_record_that_fails_again_is_not_driven_for_ever(broker, topics, tmp_path):
    put(broker, topics.progress.name, b"p/t", b"\x07broken", 1, timestamp=HOUR_AGO_MS, headers=[("ce_id", b"1")])

    def there() -> list[Message]:
        return [each for each in read_all(broker.bootstrap_servers, topics.rejected.name) if each.key() is not None]

    words = ("redrive", "--unreadable-too", "--max-drives", "2", "--execute", "-o", "json")
    with worker(broker.bootstrap_servers, topics, tmp_path):
        for count in (1, 2, 3):
            wait_until(lambda count=count: len(there()) == count)
            told = answer(rejected(broker, topics, *words))
            assert told["driven"] == (1 if count < 3 else 0)

    assert told["kept"] == {"driven already": 2, "driven too often": 1}
    assert [dict(each.headers()).get("taskstream_drives") for each in there()] == [None, b"1", b"2"]
    last = dict(there()[-1].headers())
    assert (last["ce_id"], last["taskstream_timestamp_ms"]) == (b"1", str(HOUR_AGO_MS).encode())
    assert len(on_progress(broker, topics)) == 3


def test_a_worker_folds_what_was_driven(broker, topics, tmp_path):
    reject(broker, topics, 50)
    rejected(broker, topics, "redrive", "--execute")

    with worker(broker.bootstrap_servers, topics, tmp_path):
        wait_until(lambda: len(published_keys(broker, topics)) == 5)

    assert published_keys(broker, topics) == set(folded(broker, topics))


def published_keys(broker: KafkaClient, topics: Topics) -> set[str]:
    return {each.key().decode() for each in read_all(broker.bootstrap_servers, topics.state.name)}


@pytest.mark.chaos
def test_killed_at_any_moment_nothing_is_driven_twice_or_left(broker, topics):
    count = 20_000
    reject(broker, topics, count)
    words = ["rejected", "redrive", "--bootstrap-servers", broker.bootstrap_servers, "--prefix", topics.prefix]
    chance = random.Random(3)
    killed = 0
    for _ in range(3):
        before = len(read_all(broker.bootstrap_servers, topics.progress.name, "read_uncommitted"))
        with subprocess.Popen(
            [sys.executable, "-m", "taskstream", *words, "--execute"], stderr=subprocess.PIPE
        ) as process:
            wait_until(
                lambda process=process, before=before: (
                    process.poll() is not None
                    or len(read_all(broker.bootstrap_servers, topics.progress.name, "read_uncommitted")) > before
                )
            )
            time.sleep(chance.random() * 0.2)
            process.kill()
            process.wait()
        killed += process.returncode == -signal.SIGKILL

    assert killed, "it ended before it could be killed"
    last = rejected(broker, topics, "redrive", "--execute")
    assert last.exit_code == 0, last.output
    found = [(each.key(), each.timestamp()[1]) for each in on_progress(broker, topics)]
    assert len(found) == len(set(found)) == count

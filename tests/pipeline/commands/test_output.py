"""Every command that prints, on outputs that are not a UTF-8 terminal: a sentence or a quiet end, and no traceback."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from taskstream.compose.cli.commands import COMMANDS
from taskstream.compose.cli.tasks.task_text import moment
from taskstream.compose.kafka_client import KafkaClient
from taskstream.producer.callers.token_file import token_line
from taskstream.schemas.http.caller import Role
from tests.consumer.view.views import RunningView, S, StateTopic, new_state_topic, now_us, series, signal
from tests.pipeline.streams import SENT_AT_MS, Fleet, producer
from tests.private_files import write_private
from tests.programs import Program
from tests.waiting import LIMIT_S

TASK = "ümlaut-→-1"
TASK_IN_JSON = "\\u00fcmlaut-\\u2192-1"
PRINTING = [
    "--help",
    "--version",
    "calibration -o json",
    "completion bash",
    "config show",
    "config show edge -o json",
    "doctor",
    "lag",
    "lag -o json",
    "rejected list",
    "rejected list -o json",
    "rejected show 0:0",
    "report",
    "report -o csv",
    "report -o html",
    "report -o json",
    "replay state --as-of 2099-01-01 -o json",
    "replay diff --help",
    "schemas list",
    "schemas show SeriesState.v2",
    "schemas asyncapi",
    "size --tasks 1000",
    "size --tasks 1000 -o json",
    "slowdowns -o json",
    "simulate --tasks 1 --rate 2 --for 1s --to-topic",
    'sql from"state"',
    'sql from"state" -o json',
    "tail state --from earliest --to latest",
    "tail state --from earliest --to latest -o ndjson",
    "tail signals --from earliest --to latest",
    "tasks list",
    "tasks list -o json",
    "tasks list -o ndjson",
    f"tasks mute {TASK} --for 1h --note known",
    f"tasks ack {TASK} --for 1h --note known -o json",
    f"tasks unmute {TASK}",
    f"tasks show {TASK}",
    f"tasks show {TASK} -o json",
    "tokens add --project p --role read --label who --expires 1d --file {folder}/tokens",
    "tokens list --file {folder}/tokens",
    "tokens list --file {folder}/tokens -o json",
    "topics check --partitions 3",
    "topics list",
    "topics list -o json",
]
NOT_HERE = {
    "agent": "it prints to a terminal only",
    "demo": "it starts a Kafka of its own",
    "edge": "a server",
    "export": "it writes a file",
    "lake": "it writes files",
    "notify": "a server",
    "up": "a server",
    "view": "a server",
    "worker": "a server",
}


def test_every_command_is_in_the_list_or_prints_nothing():
    assert {words.split()[0] for words in PRINTING if words[0] != "-"} | NOT_HERE.keys() == COMMANDS.keys()


@pytest.fixture(scope="module")
def states(broker: KafkaClient) -> StateTopic:
    topic = new_state_topic(broker)
    key = f"project-1/{TASK}/MIGRATE_LINUX_FILE"
    topic.put({key: series(now_us())}, {key: "copying /srv/büro → done"})
    topic.tell(signal(now_us() - 30 * S, task=f"project-1/{TASK}"))
    sending = producer(broker.bootstrap_servers)
    event_key, value = Fleet(1, 1).event()
    sending.produce(topic.topics.progress.name, value, event_key, timestamp=SENT_AT_MS)
    origin = {"topic": topic.topics.progress.name, "partition": "0", "offset": "7", "reason": "empty"}
    headers = [(f"taskstream_{name}", text.encode()) for name, text in origin.items()]
    sending.produce(topic.topics.rejected.name, "kaputt ü".encode(), "ü", 0, headers=headers)
    assert sending.flush(LIMIT_S) == 0
    return topic


@pytest.fixture
def environment(broker: KafkaClient, states: StateTopic, view: RunningView) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    return kept | {
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "TASKSTREAM_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "TASKSTREAM_PREFIX": states.topics.prefix,
        "TASKSTREAM_CALIBRATION_ENDPOINT": view.url,
        "TASKSTREAM_CALIBRATION_TOKEN": view.tokens["operator"],
        "TASKSTREAM_TASKS_ENDPOINT": view.url,
        "TASKSTREAM_TASKS_TOKEN": view.tokens["operator"],
    }


@pytest.fixture(autouse=True)
def tokens(tmp_path: Path) -> None:
    """What `tokens list` lists."""
    write_private(tmp_path / "tokens", token_line("secret", "p", [Role.READ]) + "\n")


def arguments(words: str, folder: Path) -> list[str]:
    return [each.format(folder=folder) for each in words.split()]


SEVEN_BITS = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize(
    ("words", "encoding"),
    [(words, SEVEN_BITS) for words in PRINTING] + [(f"tasks show {TASK}", {"PYTHONIOENCODING": "ascii"})],
)
def test_an_encoding_of_seven_bits_gets_ascii_with_the_same_meaning(words, encoding, environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "taskstream", *arguments(words, tmp_path)],
        env=environment | encoding,
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    assert done.stdout.isascii()
    assert done.stderr.isascii()
    if words.endswith("-o json"):
        json.loads(done.stdout)
    if words.startswith(("tasks", "report")) and words.endswith("json"):
        assert json.loads(f'"{TASK_IN_JSON}"') == TASK
        assert TASK_IN_JSON.encode() in done.stdout
    elif words.startswith("tasks"):
        assert b"\\xfcmlaut->-1" in done.stdout


@pytest.mark.parametrize("words", PRINTING)
def test_a_full_disk_is_one_sentence(words, environment, tmp_path):
    errors = tmp_path / "errors"
    code = Program(arguments(words, tmp_path), Path("/dev/full"), errors, environment=environment).wait(LIMIT_S)
    told = errors.read_text().splitlines()
    assert told[-1:] == ["Error: standard output cannot be written: No space left on device"], told
    assert not re.search("Traceback|Exception ignored", errors.read_text())
    assert code == 1


@pytest.mark.parametrize("words", PRINTING)
def test_a_reader_that_has_left_is_a_quiet_end(words, environment, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    errors = tmp_path / "errors"
    program = Program(arguments(words, tmp_path), writing, errors, environment=environment)
    os.close(writing)
    code, told = program.wait(LIMIT_S), errors.read_text()
    assert not re.search("Traceback|Exception|Error|Broken", told), told
    assert code == 1


@pytest.mark.parametrize("words", ["tasks list", f"tasks show {TASK}", "schemas list", "--help"])
def test_a_terminal_of_80_columns_without_colours_has_whole_lines(words, environment, tmp_path):
    ours, theirs = pty.openpty()
    env = environment | {"NO_COLOR": "1", "COLUMNS": "80", "TERM": "xterm-256color"}
    program = Program(arguments(words, tmp_path), theirs, environment=env)
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 65_536):
            text += piece
    except OSError:  # Linux says so when the other side has closed
        pass
    os.close(ours)
    assert program.wait(LIMIT_S) == 0
    assert not re.search(rb"\x1b\[[0-9;]*(3[0-7]|9[0-7])[0-9;]*m", text), "a colour"
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.decode())
    assert "Traceback" not in plain
    if words != "schemas list":
        assert max(map(len, plain.splitlines())) <= 80, plain


def test_a_time_past_the_year_9999_is_shown():
    assert moment(253_402_300_799_000) == "9999-12-31 23:59:59Z"
    assert moment(253_402_300_800_000) == "253402300800000 ms"
    assert moment(-(10**18)) == "-1000000000000000000 ms"

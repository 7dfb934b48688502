"""A question to a group's coordinator that ends the process which asks it: one sentence here, and no crash."""

from __future__ import annotations

import json
import sys

import pytest

from taskstream.consumer.errors import KafkaFailed
from taskstream.consumer.kafka.admin import group_questions
from taskstream.consumer.kafka.admin.group_questions import GroupQuestions
from taskstream.consumer.kafka.retry import RetryLimit

ONCE = RetryLimit(seconds=0, attempts=1)


def stand_in(body: str) -> tuple[str, ...]:
    """A program in the place of the one that asks."""
    return sys.executable, "-c", f"import json, os, signal, sys\nasked = json.load(sys.stdin)\n{body}"


def asking(body: str, call_s: float = 10.0) -> GroupQuestions:
    return GroupQuestions({"bootstrap.servers": "127.0.0.1:1"}, call_s, ONCE, stand_in(body))


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("os.abort()", "was ended by SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV"),
        ("os.kill(os.getpid(), 50)", "was ended by signal 50"),
        ("sys.exit(3)", "ended with exit code 3"),
    ],
)
def test_a_process_that_dies_is_one_sentence(body, how):
    for ask in (asking(body).description, asking(body).offsets):
        with pytest.raises(KafkaFailed, match=f"^.*group g.* the process that asked .* {how}: is a broker away"):
            ask("g")


def test_a_process_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(group_questions, "_START_S", 0.0)
    with pytest.raises(KafkaFailed, match="did not end in time"):
        asking("signal.pause()", call_s=0.5).description("g")


def test_a_process_that_died_is_asked_again(tmp_path):
    first = tmp_path / "first"
    body = f"""
if not os.path.exists({str(first)!r}):
    open({str(first)!r}, "w")
    os.abort()
json.dump({{"answer": {{"state": "STABLE", "members": []}}}}, sys.stdout)
"""
    found = GroupQuestions({}, 10.0, RetryLimit(seconds=60), stand_in(body)).description("g")
    assert found is not None
    assert found.is_joined


def test_an_error_of_kafka_is_told_with_its_reason():
    answer = {"code": -185, "error": "timed out", "why": "timed out: is it up?"}
    with pytest.raises(KafkaFailed, match=r"group g cannot be described: .*: timed out: is it up\?$"):
        asking(f"json.dump({json.dumps(answer)}, sys.stdout)").description("g")


def test_secrets_are_not_on_the_command_line():
    body = "assert 'hun' + 'ter2' not in open('/proc/self/cmdline').read()\n"
    body += "json.dump({'answer': [['t', 0, int(asked['config']['sasl.password'] == 'hun' + 'ter2')]]}, sys.stdout)"
    questions = GroupQuestions({"sasl.password": "hunter2"}, 10.0, ONCE, stand_in(body))
    assert questions.offsets("g") == {"t": {0: 1}}

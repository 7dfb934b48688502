"""What a group's coordinator knows, asked by a short process: a crash there becomes an error here.

See `group_process` for the crash. The configuration goes through standard input, where no other user sees it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from taskstream.consumer.kafka.admin.rights import denial
from taskstream.consumer.kafka.retry import QUESTION, RetryLimit, with_retry

_MODULE = "taskstream.consumer.kafka.admin.group_process"
_START_S = 20.0
"""The longest time that the process may need beside its request to Kafka."""
_PAUSE_S = 0.5
_EMPTY = ("EMPTY", "DEAD")


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One member of a group: its instance or client, its host, and the (topic, partition) that it reads."""

    name: str
    host: str
    partitions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A group's state in Kafka's words, and its members; also those that died within their session timeout."""

    state: str
    members: tuple[GroupMember, ...]

    @property
    def is_joined(self) -> bool:
        """Whether somebody is in the group, or is joining it."""
        return bool(self.members) or self.state not in _EMPTY


class GroupQuestions:
    """Questions to a group's coordinator. `config` is librdkafka's, without functions.

    call_s: the timeout of one request.
    limit: how long a failing one is repeated.
    program: the command line of the process that asks; None: `group_process`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        call_s: float,
        limit: RetryLimit = QUESTION,
        program: Sequence[str] | None = None,
    ) -> None:
        self._config = dict(config)
        self._call_s = call_s
        self._limit = RetryLimit(limit.seconds, limit.attempts, _PAUSE_S)
        self._program = list(program or (sys.executable, "-m", _MODULE))
        self._why = ""

    def description(self, group: str) -> GroupDescription | None:
        """The group; None when there is no such group.

        Raises:
            KafkaFailed: Kafka did not answer, or the process that asked ended without an answer.
        """
        found = self._ask(f"group {group} cannot be described", "description", group)
        if found is None:
            return None
        members = [
            GroupMember(each["name"], each["host"], tuple((topic, number) for topic, number in each["partitions"]))
            for each in found["members"]
        ]
        return GroupDescription(found["state"], tuple(members))

    def offsets(self, group: str) -> dict[str, dict[int, int]]:
        """[topic][partition] The offset that the group reads next, where it ever committed one.

        Raises:
            KafkaFailed: as `description`.
        """
        offsets: dict[str, dict[int, int]] = {}
        for topic, partition, offset in (
            self._ask(f"the offsets of group {group} cannot be read", "offsets", group) or ()
        ):
            offsets.setdefault(topic, {})[partition] = offset
        return offsets

    def _ask(self, what: str, question: str, group: str) -> Any:
        asked = {"config": self._config, "group": group, "question": question, "call_s": self._call_s}
        return with_retry(
            what,
            lambda: self._once(json.dumps(asked)),
            self._limit,
            lambda _: self._why,
            denied=partial(denial, config=self._config, group=group, is_member=False),
        )

    def _once(self, asked: str) -> Any:
        """One run of the process.

        Raises:
            KafkaException: Kafka's error; _WAIT_COORD when the process ended without an answer.
        """
        try:
            done = subprocess.run(
                self._program,
                input=asked,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
                text=True,
                timeout=self._call_s + _START_S,
            )
        except subprocess.TimeoutExpired as error:
            raise self._unanswered("did not end in time") from error
        if done.returncode != 0:
            raise self._unanswered(_ended(done.returncode))
        answer = json.loads(done.stdout)
        if "answer" in answer:
            return answer["answer"]
        self._why = answer["why"]
        raise KafkaException(KafkaError(answer["code"], answer["error"]))

    def _unanswered(self, how: str) -> KafkaException:
        self._why = f"the process that asked the group's coordinator {how}: is a broker away? Try again"
        return KafkaException(KafkaError(KafkaError._WAIT_COORD, self._why))  # noqa: SLF001 (librdkafka's public name)


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"

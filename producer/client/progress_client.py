"""The other side of the wire: a blocking client that reports progress and reads a task back.

It knows the API's requests, answers and errors; it must not know what is being migrated, nor show the token.
"""

import itertools
import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as HTTPTimeout

from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.endpoint import checked
from taskstream.producer.client.response import ClientResponse, exhaustion, plain, refusal
from taskstream.producer.client.retry_policy import RETRIABLE_STATUSES, RetryPolicy, retry_after_s
from taskstream.producer.clock import Clock
from taskstream.producer.errors import AnswerUnreadable, EdgeUnavailable

_WORTH_ANOTHER_TRY = (NewConnectionError, HTTPTimeout, ProtocolError)
_LONGEST_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """How far one subtask has come, in the API's own names and units.

    Sizes are bytes, `progress` and the cpu usages percent, `migrate_speed` and the disk figures Mbit/s,
    `remain_time` seconds, the memory usages MB. What is None is not sent.
    """

    subtask_name: str
    progress: int
    replicatesize: int
    totalsize: int
    process_trace: str
    migrate_speed: float | None = None
    compress_rate: float | None = None
    remain_time: int | None = None
    total_cpu_usage: float | None = None
    agent_cpu_usage: float | None = None
    total_mem_usage: float | None = None
    agent_mem_usage: float | None = None
    total_disk_io: float | None = None
    agent_disk_io: float | None = None
    need_migration_test: bool | None = None
    agent_time: str | None = None

    def body(self) -> bytes:
        """The request body: JSON without the fields that are None."""
        said = {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}
        return json.dumps(said, separators=(",", ":")).encode()


_FIELDS = tuple(field.name for field in fields(Report))


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The edge has it: 200 came back, on the given attempt (the first is 1)."""

    event_id: str
    attempts: int
    request_id: str


class ProgressClient:
    """Speaks to one endpoint over kept connections; `with` closes them. Safe to share between threads."""

    def __init__(
        self,
        endpoint: str,
        token: AuthToken,
        *,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008 -- frozen, so sharing it is harmless
        ca_file: Path | None = None,
        clock: Clock = time,
        random: Callable[[], float] = random.random,
    ) -> None:
        """`endpoint` is http(s)://host[:port][/prefix]; anything else is a ValueError."""
        self._endpoint = checked(endpoint)
        self._token = token
        self._policy = policy
        self._clock = clock
        self._random = random
        self._pool = urllib3.PoolManager(num_pools=1, ca_certs=str(ca_file) if ca_file else None)

    def report(
        self,
        task_id: str,
        report: Report,
        *,
        deadline_s: float | None = None,
        event_id: str | None = None,
        pause: Callable[[float], bool] | None = None,
    ) -> Acknowledgement:
        """Report progress; every retry carries the same event id, as Idempotency-Key.

        The deadline defaults to the policy's; `event_id` to a new one: give it to go on with a report whose
        deadline has passed. `pause` waits that many seconds before a retry, and says whether to go on at all.

        Raises:
            RequestRefused: the edge will not take this report; CallerRefused when it is about the token.
            EdgeUnavailable: no final answer within the deadline.
            TokenUnusable: the token cannot be sent.
        """
        event_id = event_id or str(uuid.uuid4())
        headers = {"Content-Type": "application/json", "Idempotency-Key": event_id}
        path = f"/v3/tasks/{_segment(task_id)}/progress"
        answer, attempts = self._exchange("PUT", path, headers, report.body(), deadline_s, pause)
        return Acknowledgement(event_id, attempts, answer.request_id)

    def show_task(self, task_id: str, *, deadline_s: float | None = None) -> dict[str, Any]:
        """The task as the view answers it.

        Raises:
            AnswerUnreadable: 200 with something that is not a JSON object; else what `report` raises.
        """
        path = f"/v3/tasks/{_segment(task_id)}"
        answer, attempts = self._exchange("GET", path, {"Accept": "application/json"}, deadline_s=deadline_s)
        task = answer.json_object()
        if task is None:
            raise AnswerUnreadable(
                f"GET {self._endpoint}{path}: 200 with {len(answer.body):,} bytes that are not a JSON object; "
                "is this the view's address?",
                attempts=attempts,
                status=answer.status,
                request_id=answer.request_id,
            )
        return task

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ProgressClient({self._endpoint!r}, {self._token!r})"

    def _exchange(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None = None,
        deadline_s: float | None = None,
        pause: Callable[[float], bool] | None = None,
    ) -> tuple[ClientResponse, int]:
        """Send until a final answer or the deadline; an answer of 200 to 299 is returned with its attempt."""
        began_s = self._clock.monotonic()
        deadline = began_s + (self._policy.deadline_s if deadline_s is None else deadline_s)
        what = f"{method} {self._endpoint}{path}"
        last: ClientResponse | HTTPError
        for attempt in itertools.count(1):
            token = self._token.read()
            asked_s = None
            try:
                last = answer = self._send(
                    method, path, {**headers, "X-Auth-Token": token}, body, deadline - self._clock.monotonic()
                )
            except _WORTH_ANOTHER_TRY as error:
                last = error
            except (HTTPError, OSError) as error:
                raise EdgeUnavailable(f"{what}: {plain(error, token)}", attempts=attempt) from error
            else:
                if 200 <= answer.status < 300:
                    return answer, attempt
                if answer.status not in RETRIABLE_STATUSES:
                    raise refusal(what, answer, attempts=attempt, token=token)
                asked_s = retry_after_s(answer.retry_after, self._clock.time())
            wait_s = self._policy.wait_s(attempt, asked_s, self._random)
            if self._clock.monotonic() + wait_s >= deadline or not (pause or self._sleep)(wait_s):
                waited_s = self._clock.monotonic() - began_s
                cause = last if isinstance(last, HTTPError) else None
                raise exhaustion(
                    what, last, attempts=attempt, waited_s=waited_s, asked_s=asked_s, token=token
                ) from cause
        raise AssertionError("counting never ends")

    def _sleep(self, seconds: float) -> bool:
        self._clock.sleep(seconds)
        return True

    def _send(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, left_s: float
    ) -> ClientResponse:
        within_s = max(0.001, left_s)
        response = self._pool.request(
            method,
            self._endpoint + path,
            body=body,
            headers={"User-Agent": "taskstream-agent", **headers},
            timeout=urllib3.Timeout(
                connect=min(within_s, self._policy.connect_timeout_s),
                read=min(within_s, self._policy.read_timeout_s),
            ),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            body_read = response.read(_LONGEST_ANSWER)
        except BaseException:
            response.close()
            raise
        if len(body_read) == _LONGEST_ANSWER:
            response.close()  # there may be more, which nobody will read: the connection is spent
        response.release_conn()
        return ClientResponse(
            status=response.status,
            body=body_read,
            request_id=response.headers.get("X-Request-Id", ""),
            retry_after=response.headers.get("Retry-After"),
        )


def _segment(task_id: str) -> str:
    # "." and ".." would be taken for path steps on the way.
    return task_id.replace(".", "%2E") if task_id in {".", ".."} else quote(task_id, safe="")

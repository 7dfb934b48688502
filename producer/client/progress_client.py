"""A blocking HTTP client that reports progress to an edge and reads a task from a view, with retries and a deadline.

It knows the API's requests, responses and errors. It must not know what is being migrated, nor show the token.
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
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, ProxyError
from urllib3.exceptions import TimeoutError as HTTPTimeout

from taskstream.producer.client.auth_token import AuthToken
from taskstream.producer.client.endpoint import validated_endpoint, validated_proxy
from taskstream.producer.client.response import ClientResponse, describe_error, refused_error, unavailable_error
from taskstream.producer.client.retry_policy import RETRIABLE_STATUSES, RetryPolicy, retry_after_s
from taskstream.producer.clock import Clock
from taskstream.producer.errors import AnswerUnreadable, EdgeUnavailable

_RETRIABLE_ERRORS = (NewConnectionError, HTTPTimeout, ProtocolError, ProxyError)
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """The progress of one subtask, in the names and units of the API.

    Sizes are in bytes, `progress` and the CPU usages in percent, `migrate_speed` and the disk figures in Mbit/s,
    `remain_time` in seconds, the memory usages in MB. Fields that are None are not sent.
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
        present = {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}
        return json.dumps(present, separators=(",", ":")).encode()


_FIELDS = tuple(field.name for field in fields(Report))


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The edge has recorded the report: it answered 200 to the request number `attempts` (the first is 1)."""

    event_id: str
    attempts: int
    request_id: str


class ProgressClient:
    """A client of one endpoint with a pool of connections, which `with` closes. It is thread-safe."""

    def __init__(
        self,
        endpoint: str,
        token: AuthToken,
        *,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008 -- frozen, so a shared default is harmless
        ca_file: Path | None = None,
        proxy: str | None = None,
        clock: Clock = time,
        random: Callable[[], float] = random.random,
    ) -> None:
        """`endpoint` is http(s)://host[:port][/prefix]; `random` returns numbers in [0, 1).

        proxy: http(s)://host[:port] of the HTTP proxy to use; None: none, whatever the environment says.

        Raises:
            ValueError: the endpoint or the proxy has another form.
        """
        self._endpoint = validated_endpoint(endpoint)
        self._token = token
        self._policy = policy
        self._clock = clock
        self._random = random
        ca_certs = str(ca_file) if ca_file else None
        self._pool = (
            urllib3.PoolManager(num_pools=1, ca_certs=ca_certs)
            if proxy is None
            else urllib3.ProxyManager(validated_proxy(proxy), num_pools=1, ca_certs=ca_certs)
        )

    def report(
        self,
        task_id: str,
        report: Report,
        *,
        deadline_s: float | None = None,
        event_id: str | None = None,
        pause: Callable[[float], bool] | None = None,
    ) -> Acknowledgement:
        """Send a report and wait until the edge has recorded it.

        Every retry sends the same event id as Idempotency-Key, so workers count it once. `event_id`
        defaults to a new UUID; pass the previous one to resume a report whose deadline has passed. `deadline_s`
        defaults to the policy's. `pause` is called before each retry with the wait in seconds; it waits, and returns
        False to give up.

        Raises:
            RequestRefused: the edge refuses the report for good; CallerRefused if it refuses the token.
            EdgeUnavailable: no final response within the deadline, or `pause` gave up.
            TokenUnusable: the token is not usable as a header, or its file cannot be read.
        """
        event_id = event_id or str(uuid.uuid4())
        headers = {"Content-Type": "application/json", "Idempotency-Key": event_id}
        path = f"/v3/tasks/{_segment(task_id)}/progress"
        response, attempts = self._exchange("PUT", path, headers, report.body(), deadline_s, pause)
        return Acknowledgement(event_id, attempts, response.request_id)

    def show_task(
        self, task_id: str, *, deadline_s: float | None = None, pause: Callable[[float], bool] | None = None
    ) -> dict[str, Any]:
        """The task as a JSON object, as the view returns it. The endpoint must be a view's. `pause`: as for `report`.

        Raises:
            AnswerUnreadable: the response is 200 and not a JSON object. Other errors as for `report`.
        """
        path = f"/v3/tasks/{_segment(task_id)}"
        response, attempts = self._exchange(
            "GET", path, {"Accept": "application/json"}, deadline_s=deadline_s, pause=pause
        )
        task = response.json_object()
        if task is None:
            raise AnswerUnreadable(
                f"GET {self._endpoint}{path}: 200 with {len(response.body):,} bytes that are not a JSON object; "
                "is this the view's address?",
                attempts=attempts,
                status=response.status,
                request_id=response.request_id,
            )
        return task

    def close(self) -> None:
        """Close the pooled connections."""
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
        """Send the request until a final response or the deadline; return a 2xx response and the attempt's number."""
        began_s = self._clock.monotonic()
        deadline = began_s + (self._policy.deadline_s if deadline_s is None else deadline_s)
        what = f"{method} {self._endpoint}{path}"
        last: ClientResponse | HTTPError
        for attempt in itertools.count(1):
            token = self._token.read()
            asked_s = None
            try:
                last = response = self._send(
                    method, path, {**headers, "X-Auth-Token": token}, body, deadline - self._clock.monotonic()
                )
            except _RETRIABLE_ERRORS as error:
                last = error
            except (HTTPError, OSError) as error:
                raise EdgeUnavailable(f"{what}: {describe_error(error, token)}", attempts=attempt) from error
            else:
                if 200 <= response.status < 300:
                    return response, attempt
                if response.status not in RETRIABLE_STATUSES:
                    raise refused_error(what, response, attempts=attempt, token=token)
                asked_s = retry_after_s(response.retry_after, self._clock.time())
            wait_s = self._policy.wait_s(attempt, asked_s, self._random)
            if self._clock.monotonic() + wait_s >= deadline or not (pause or self._sleep)(wait_s):
                waited_s = self._clock.monotonic() - began_s
                cause = last if isinstance(last, HTTPError) else None
                raise unavailable_error(
                    what, last, attempts=attempt, waited_s=waited_s, retry_after_s=asked_s, token=token
                ) from cause
        raise AssertionError("unreachable: itertools.count is infinite")

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
            body_read = response.read(_MAX_RESPONSE_BYTES)
        except BaseException:
            response.close()
            raise
        if len(body_read) == _MAX_RESPONSE_BYTES:
            response.close()  # unread bytes may follow, so the connection cannot be reused
        response.release_conn()
        return ClientResponse(
            status=response.status,
            body=body_read,
            request_id=response.headers.get("X-Request-Id", ""),
            retry_after=response.headers.get("Retry-After"),
        )


def _segment(task_id: str) -> str:
    # URL parsers and proxies remove the path segments "." and ".." (RFC 3986, 5.2.4).
    return task_id.replace(".", "%2E") if task_id in {".", ".."} else quote(task_id, safe="")

"""Requests of official SDKs as they were on the wire, against their own signatures; see tests/foreign/sdk/recorded."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from urllib.parse import unquote

import h11
import pytest

from taskstream.producer.callers.signature import SignatureKeys
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.request import HttpRequest
from tests.private_files import write_private

RECORDED = Path(__file__).parents[2] / "foreign" / "sdk" / "recorded"
"""Of huaweicloud-sdk-go-v3 0.1.207 and huaweicloud-sdk-sms 3.1.143 (Java): a report, ShowTask and ListTasks of each."""
KEY = {"access": "AK12345", "secret": "a secret of some length", "project": "project-7", "roles": ["report", "read"]}
TASK = "with space ü"
TARGETS = {"report": f"/v3/tasks/{TASK}/progress", "show": f"/v3/tasks/{TASK}", "list": "/v3/tasks"}
SIGNED = {"go": "user-agent;x-project-id;x-sdk-date", "java": "host;user-agent;x-domain-id;x-sdk-date"}


def received(path: Path) -> tuple[HttpRequest, bytes]:
    """The request as a server reads it."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(path.read_bytes())
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    target, _, query = head.target.partition(b"?")
    return HttpRequest(head.method.decode(), target, query, [*head.headers]), body


def keys_at(folder: Path, moment: str) -> SignatureKeys:
    """The keys of a server whose clock shows this X-Sdk-Date."""
    path = folder / "keys"
    write_private(path, json.dumps(KEY) + "\n")
    at = dt.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    keys = SignatureKeys(path, print, clock_s=at.timestamp)
    keys.load()
    return keys


@pytest.mark.parametrize("call", TARGETS)
@pytest.mark.parametrize("sdk", SIGNED)
def test_a_recorded_request_is_authentic_and_a_changed_one_is_not(tmp_path, sdk, call):
    request, body = received(RECORDED / f"{sdk}-{call}.http")
    assert SIGNED[sdk].encode() in request.headers.raw[b"authorization"]
    assert unquote(request.path.decode()) == TARGETS[call]
    keys = keys_at(tmp_path, request.headers["x-sdk-date"])
    caller = asyncio.run(keys.authenticate(request, body))
    assert caller is not None
    assert caller.project_id == "project-7"
    with pytest.raises(ApiError, match="does not match"):
        asyncio.run(keys.authenticate(request, body + b" "))

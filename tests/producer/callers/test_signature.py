"""Signatures that the SDK's own signer makes, and what must not pass."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import hmac
import json
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from taskstream.producer.callers.signature import SignatureKeys, parse_keys
from taskstream.producer.callers.signature_uses import USES, SignatureUses
from taskstream.producer.callers.signed_head import request_signature
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.request import HttpRequest
from tests.private_files import write_private

NOW = dt.datetime(2026, 11, 23, 9, 0, 0, tzinfo=dt.UTC)
LINE = {"access": "AK", "secret": "sesame", "project": "p", "roles": ["report"]}


class SentRequest(NamedTuple):
    """One request as a client sends it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    write_private(path, json.dumps(LINE) + "\n")
    made = SignatureKeys(path, print, clock_s=NOW.timestamp)
    made.load()
    return made


def signed(
    body=b'{"a": 1}',
    path="/v3/tasks/t/progress",
    query=(),
    at=NOW,
    method="PUT",
    access="AK",
    secret="sesame",
    **headers,
):
    sent = {"Content-Type": "application/json", "X-Sdk-Date": at.strftime("%Y%m%dT%H%M%SZ"), **headers}
    request = SdkRequest(
        method=method,
        schema="http",
        host="edge:80",
        resource_path=path,
        header_params=sent,
        query_params=list(query),
        body=body,
    )
    Signer(SimpleNamespace(ak=access, sk=secret)).sign(request)
    uri, _, raw_query = request.uri.partition("?")
    lowered = {name.lower(): value for name, value in request.header_params.items()}
    return SentRequest(method, uri, raw_query, lowered, body)


def changed(request, **changes):
    return request._replace(**changes)


def authenticate(keys, sent):
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.headers.items()]
    request = HttpRequest(sent.method, sent.path.encode(), sent.query.encode(), headers)
    return asyncio.run(keys.authenticate(request, sent.body))


def test_the_sdks_signature_passes(keys):
    assert authenticate(keys, signed()).project_id == "p"


def test_a_query_is_signed_in_any_order(keys):
    request = signed(method="GET", body=b"", query=[("b", "2 3"), ("a", "x&y"), ("a", "")])
    assert authenticate(keys, request) is not None
    pieces = request.query.split("&")
    assert authenticate(keys, changed(request, query="&".join(reversed(pieces)))) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"a": 2}'},
        {"body": b""},
        {"path": "/v3/tasks/u/progress"},
        {"query": "a=1"},
        {"method": "POST"},
    ],
)
def test_nothing_of_what_was_signed_may_change(keys, change):
    with pytest.raises(ApiError, match="does not match"):
        authenticate(keys, changed(signed(), **change))


def test_a_signed_header_may_not_change_or_vanish(keys):
    request = signed()
    with pytest.raises(ApiError, match="does not match"):
        authenticate(keys, changed(request, headers={**request.headers, "content-type": "application/x+json"}))
    with pytest.raises(ApiError, match="the signed header 'content-type' is missing"):
        authenticate(
            keys,
            changed(
                request, headers={name: value for name, value in request.headers.items() if name != "content-type"}
            ),
        )


@pytest.mark.parametrize("off_s", [-901, 901])
def test_a_clock_that_is_off_is_told_so(keys, off_s):
    with pytest.raises(ApiError, match="clock"):
        authenticate(keys, signed(at=NOW + dt.timedelta(seconds=off_s)))


@pytest.mark.parametrize("off_s", [-899, 899])
def test_a_clock_may_be_off_by_a_quarter_of_an_hour(keys, off_s):
    assert authenticate(keys, signed(at=NOW + dt.timedelta(seconds=off_s))) is not None


def test_an_unsigned_body_is_not_taken(keys):
    with pytest.raises(ApiError, match="unsigned bodies"):
        authenticate(keys, signed(**{"Content-Type": "application/octet-stream"}))


def test_the_date_must_be_signed(keys):
    request = signed()
    fewer = request.headers["authorization"].replace(";x-sdk-date", "")
    with pytest.raises(ApiError, match="X-Sdk-Date must be signed"):
        authenticate(keys, changed(request, headers={**request.headers, "authorization": fewer}))


def test_what_the_go_sdk_signs_is_enough(keys):
    """Its requests sign the user agent, the project and the date, and not Host."""
    headers = {"user-agent": "huaweicloud-usdk-go/3.0", "x-project-id": "p", "x-sdk-date": f"{NOW:%Y%m%dT%H%M%SZ}"}
    body = b'{"a":1}'
    canonical = (
        "PUT\n/v3/tasks/t/progress/\n\n"
        + "".join(f"{name}:{value}\n" for name, value in headers.items())
        + f"\n{';'.join(headers)}\n{hashlib.sha256(body).hexdigest()}"
    )
    to_sign = f"SDK-HMAC-SHA256\n{headers['x-sdk-date']}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(b"sesame", to_sign.encode(), hashlib.sha256).hexdigest()
    form = f"SDK-HMAC-SHA256 Access=AK, SignedHeaders={';'.join(headers)}, Signature={signature}"
    sent = SentRequest("PUT", "/v3/tasks/t/progress", "", {**headers, "host": "edge", "authorization": form}, body)
    assert authenticate(keys, sent).project_id == "p"
    with pytest.raises(ApiError, match="does not match"):
        authenticate(keys, changed(sent, body=b'{"a":2}'))


def of_path(wire, signed_as, *, user_agent=False):
    """A signed GET of the path `wire`, whose signature has the path `signed_as`."""
    headers = {"host": "edge", "x-sdk-date": f"{NOW:%Y%m%dT%H%M%SZ}"}
    if user_agent:
        headers |= {"user-agent": "huaweicloud-usdk-python/3.0"}
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    canonical = f"GET\n{signed_as}/\n\n{lines}\n{';'.join(names)}\n{hashlib.sha256(b'').hexdigest()}"
    to_sign = f"SDK-HMAC-SHA256\n{headers['x-sdk-date']}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(b"sesame", to_sign.encode(), hashlib.sha256).hexdigest()
    form = f"SDK-HMAC-SHA256 Access=AK, SignedHeaders={';'.join(names)}, Signature={signature}"
    return SentRequest("GET", wire, "", {**headers, "authorization": form}, b"")


@pytest.mark.parametrize(
    ("wire", "signed_as", "user_agent", "passes"),
    [
        ("/t/a%20b", "/t/a%20b", True, True),
        ("/t/a%20b", "/t/a%20b", False, True),
        ("/t/a%20b", "/t/a%2520b", False, True),  # the Node.js SDK encodes twice
        ("/t/a%20b", "/t/a%2520b", True, False),  # it is the signature of the task a%20b
        ("/t/a%2520b", "/t/a%2520b", True, True),
        ("/t/a%2520b", "/t/a%2520b", False, False),  # it is also the Node.js SDK's signature of the task `a b`
        ("/t/a%2520b", "/t/a%252520b", False, True),
        ("/t/100%25", "/t/100%25", False, True),
        ("/t/a+b", "/t/a%2Bb", False, True),
    ],
)
def test_a_path_has_one_meaning_whether_it_was_encoded_once_or_twice(keys, wire, signed_as, user_agent, passes):
    request = of_path(wire, signed_as, user_agent=user_agent)
    if passes:
        assert authenticate(keys, request) is not None
    else:
        with pytest.raises(ApiError, match="does not match"):
            authenticate(keys, request)


@pytest.mark.parametrize("date", ["", "2026-11-23", "20261123T090000"])
def test_a_date_of_another_form_is_refused(keys, date):
    request = signed()
    with pytest.raises(ApiError, match="20261123T074534Z"):
        authenticate(keys, changed(request, headers={**request.headers, "x-sdk-date": date}))


def test_a_clock_that_is_off_is_shown_beside_the_servers(keys):
    with pytest.raises(ApiError, match=r"20261123T080000Z .* 20261123T090000Z"):
        authenticate(keys, signed(at=NOW - dt.timedelta(hours=1)))


def test_a_signature_of_another_form_is_refused(keys):
    with pytest.raises(ApiError, match="not a valid"):
        authenticate(keys, SentRequest("PUT", "/", "", {"authorization": "SDK-HMAC-SHA256 Access=AK"}, b""))


def test_a_key_is_of_its_own_project_only(keys):
    with pytest.raises(ApiError, match="X-Project-Id"):
        authenticate(keys, signed(**{"X-Project-Id": "another"}))
    assert authenticate(keys, signed(**{"X-Project-Id": "p"})) is not None


def test_temporary_credentials_need_their_security_token(tmp_path):
    path = tmp_path / "keys"
    write_private(path, json.dumps({**LINE, "security_token": "of the hour"}) + "\n")
    keys = SignatureKeys(path, print, clock_s=NOW.timestamp)
    keys.load()
    assert authenticate(keys, signed(**{"X-Security-Token": "of the hour"})).project_id == "p"
    for token in ({"X-Security-Token": "of another"}, {}):
        with pytest.raises(ApiError, match="X-Security-Token"):
            authenticate(keys, signed(**token))


def test_other_credentials_are_left_to_others(keys):
    assert authenticate(keys, SentRequest("PUT", "/", "", {"authorization": "Bearer x"}, b"")) is None
    assert authenticate(keys, SentRequest("PUT", "/", "", {}, b"")) is None


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        json.dumps(LINE | {"secret": ""}),
        json.dumps(LINE | {"project": "a/b"}),
        json.dumps(LINE | {"roles": ["root"]}),
    ],
)
def test_a_wrong_line_is_told_by_its_number_and_shows_no_secret(line):
    with pytest.raises(CredentialsUnusable, match="line 2") as refused:
        parse_keys(["# keys", line], "keys")
    assert "sesame" not in str(refused.value)


def test_a_request_may_be_repeated_as_it_is_so_often_and_no_oftener(keys):
    request = signed()
    for _ in range(USES):
        assert authenticate(keys, request) is not None
    with pytest.raises(ApiError, match="sign the request anew"):
        authenticate(keys, request)
    assert authenticate(keys, signed(at=NOW + dt.timedelta(seconds=1))) is not None


def test_reading_is_repeated_without_end(keys):
    request = signed(method="GET", body=b"")
    assert all(authenticate(keys, request) is not None for _ in range(2 * USES))


def test_a_wrong_signature_takes_no_memory(keys):
    with pytest.raises(ApiError):
        authenticate(keys, changed(signed(), body=b"other"))
    assert len(keys._uses) == 0


def test_signatures_are_forgotten_after_their_time_and_past_their_number():
    uses = SignatureUses(10, uses=1, remembered=3)
    one, two = (digit * 64 for digit in "12")
    assert uses.count(one, 0)
    assert not uses.count(one, 9)
    assert uses.count(two, 9)
    assert uses.count(one, 10)
    for digit in "3456789":
        uses.count(digit * 64, 11)
    assert len(uses) == 3


def test_a_signature_says_what_it_covers_and_names_the_request():
    headers = signed().headers
    found = request_signature(headers)
    assert found.key == f"signature {headers['authorization'][-64:]}"
    assert request_signature({**headers, "idempotency-key": "slipped in"}) == found
    assert "idempotency-key" not in found.names
    assert "idempotency-key" in request_signature(signed(**{"Idempotency-Key": "k"}).headers).names
    assert request_signature({"x-auth-token": "t"}) is None

"""Callers with access keys and with Keystone tokens take the fast path, and it answers as the ordinary one does."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
from pathlib import Path

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from taskstream.compose.server.bounded_http import HttpBounds, bounded_by
from taskstream.producer.acks.delivery import Ack
from taskstream.producer.admission.admission import Admission
from taskstream.producer.admission.counts import EdgeCounts
from taskstream.producer.admission.limits import Limits
from taskstream.producer.admission.readiness import Readiness
from taskstream.producer.callers.authenticator_chain import AuthenticatorChain
from taskstream.producer.callers.keystone import KeystoneTokens
from taskstream.producer.callers.keystone_settings import CACHE_S
from taskstream.producer.callers.signature import SignatureKeys
from taskstream.producer.callers.signature_uses import USES
from taskstream.producer.callers.token_file import TokenFile, token_line
from taskstream.producer.events.event_builder import EventBuilder
from taskstream.producer.http.application import Edge
from taskstream.producer.http.batch_endpoint import BatchEndpoint
from taskstream.producer.http.express_report import ExpressLane
from taskstream.producer.http.progress_endpoint import ProgressEndpoint
from taskstream.producer.http.refusals import Refusals
from taskstream.schemas.http.caller import Role
from taskstream.schemas.ids import TableIds
from tests.compose.server.test_express_connection import DATE, Wire
from tests.private_files import write_private
from tests.producer.callers.test_keystone import FakeIdentity, facts
from tests.producer.callers.test_signature import signed
from tests.producer.edges import REPORT

NOW = dt.datetime(2026, 11, 23, 9, 0, 0, tzinfo=dt.UTC)
BODY = json.dumps(REPORT).encode()
KEYS = [
    {"access": "AK", "secret": "sesame", "project": "p", "roles": ["report"]},
    {"access": "READER", "secret": "sesame", "project": "p", "roles": ["read"]},
    {"access": "TEMP", "secret": "sesame", "project": "p", "roles": ["report"], "security_token": "of the hour"},
]


class FakeAcks:
    """Acknowledges at once, and keeps each event with the way that it came."""

    in_flight = 0

    def __init__(self) -> None:
        self.events = []
        self.fast = []

    def produce(self, event, waiter) -> None:
        self.events.append(event)
        self.fast.append(True)
        waiter.acked(1, 2)

    async def send(self, event) -> Ack:
        self.events.append(event)
        self.fast.append(False)
        return Ack(1, 2)


class Side:
    """An edge without Kafka and one connection to it; with the fast path, or without."""

    def __init__(self, folder: Path, *, fast: bool) -> None:
        self.now_s = NOW.timestamp()
        self.identity = FakeIdentity(good=facts())
        self.keys = SignatureKeys(folder / "keys", print, clock_s=lambda: self.now_s)
        self.keys.load()
        tokens = TokenFile(folder / "tokens", print)
        tokens.load()
        chain = AuthenticatorChain([self.keys, tokens, KeystoneTokens(self.identity, clock_s=lambda: self.now_s)])
        self.acks, counts, limits, readiness = FakeAcks(), EdgeCounts(), Limits(body_bytes=131_072), Readiness()
        readiness.refusal = None
        admission = Admission(chain, self.acks, readiness, limits, counts, clock_s=lambda: 0.0)
        builder = EventBuilder(TableIds())
        progress = ProgressEndpoint(admission, builder, self.acks, limits, lambda: int(self.now_s * 1e6))
        refusals = Refusals(counts)
        lane = ExpressLane(admission, progress, self.acks, refusals, limits.body_bytes)
        batch = BatchEndpoint(admission, builder, self.acks, limits)
        self._edge = Edge(progress, batch, self.acks, readiness, None, None, refusals)
        self._lane = lane if fast else None
        self.connect()

    def connect(self) -> None:
        config = uvicorn.Config(
            self._edge, http=bounded_by(HttpBounds(), self._lane), ws="none", lifespan="off", log_config=None
        )
        config.load()
        state = ServerState()
        state.default_headers = [DATE]
        self.http = config.http_protocol_class(config=config, server_state=state, app_state={})
        self.wire = Wire()
        self.http.connection_made(self.wire)

    async def answer(self, *pieces: bytes):
        """The shapes of what is written in response, and whether the connection is closed."""
        random.seed(7)  # of the ids of events
        self.wire.written = b""
        for piece in pieces:
            self.http.data_received(piece)
        turns = 0  # a request whose body never comes may be answered before it, or is not answered
        while not (self.http.idle or self.closes) and (not self.http._in_request or turns < 20):
            turns += 1
            await asyncio.sleep(0)
        return shapes(self.wire.written), self.closes

    @property
    def closes(self) -> bool:
        return self.http.transport.is_closing()

    async def status(self, sent: bytes) -> int:
        ((status, *_),), _ = await self.answer(sent)
        return status

    @property
    def events(self):
        return self.acks.events


@pytest.fixture
def folder(tmp_path) -> Path:
    write_private(tmp_path / "keys", "".join(json.dumps(key) + "\n" for key in KEYS))
    write_private(tmp_path / "tokens", token_line("in the file", "p", [Role.REPORT]) + "\n")
    return tmp_path


def shapes(written: bytes):
    """Status, headers and body of each response, without what is another in each."""
    found = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = sorted(tuple(line.split(b": ", 1)) for line in lines)
        length = int(dict(headers)[b"content-length"])
        document, written = json.loads(rest[:length] or b"{}"), rest[length:]
        document.pop("instance", None)
        fixed = [(name, value if name != b"x-request-id" else b"") for name, value in headers]
        found.append((int(status.split()[1]), fixed, document))
    return found


def wire_form(headers: dict[str, str], body: bytes, path: str = "/v3/tasks/t/progress") -> bytes:
    lines = [f"PUT {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def signed_wire(body: bytes = BODY, at_s: int = 0, access: str = "AK", secret: str = "sesame", **headers: str) -> bytes:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = signed(body, at=NOW + dt.timedelta(seconds=at_s), access=access, secret=secret, **sent)
    return wire_form(dict(request.headers), body, request.path)


def token_wire(token: str, body: bytes = BODY, **headers: str) -> bytes:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return wire_form({"Host": "e", "X-Auth-Token": token, "Content-Type": "application/json", **sent}, body)


def digest_of(other: bytes, sent: bytes) -> bytes:
    """The request with the digest of another one."""
    at, own = (each.index(b"Signature=") + len(b"Signature=") for each in (other, sent))
    return sent[:own] + other[at : at + 64] + sent[own + 64 :]


BODIES = st.sampled_from([BODY, json.dumps({**REPORT, "progress": 77}).encode(), b"{", b"", b"{}", b'{"new": 1}'])
SIGNED = st.builds(
    signed_wire,
    body=BODIES,
    at_s=st.sampled_from([0, 1, 2, -899, 900, 901, -901]),
    access=st.sampled_from(["AK", "AK", "AK", "READER", "TEMP", "NOBODY"]),
    secret=st.sampled_from(["sesame", "sesame", "wrong"]),
)
MORE = st.dictionaries(
    st.sampled_from(["Idempotency-Key", "X-Request-Id", "X-Project-Id", "X-Security-Token", "traceparent", "X-New"]),
    st.sampled_from(["a", "b", "p", "of the hour", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]),
    max_size=2,
)
WITH_MORE = st.builds(lambda more, at_s: signed_wire(at_s=at_s, **more), MORE, st.integers(0, 3))
TOKENS = st.builds(token_wire, st.sampled_from(["in the file", "good", "bad", ""]), BODIES)
SOUND = st.one_of(SIGNED, WITH_MORE, TOKENS)
EDITED = st.builds(
    lambda sent, at, put, without: sent[: at % len(sent)] + put + sent[at % len(sent) + without :],
    SOUND,
    st.integers(0, 2000),
    st.one_of(st.binary(max_size=2), st.sampled_from([b"0", b"a", b" ", b"Z", b";", b"\r\nX-Added: 1"])),
    st.integers(0, 2),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.one_of(SOUND, SOUND, EDITED), min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 900))
def test_mutated_requests_are_answered_alike_on_both_paths(folder, requests, times, cut):
    async def story():
        fast, ordinary = Side(folder, fast=True), Side(folder, fast=False)
        for sent in requests * times:
            pieces = (sent[:cut], sent[cut:]) if 0 < cut < len(sent) else (sent,)
            found = []
            for side in (fast, ordinary):
                found.append(await asyncio.wait_for(side.answer(*pieces), 60))
                if side.closes or not side.wire.written:
                    side.connect()
            assert found[0] == found[1]
            assert fast.events == ordinary.events
        assert not any(ordinary.acks.fast)

    asyncio.run(story())


def on_the_fast_side(folder, story) -> None:
    async def told():
        await story(Side(folder, fast=True))

    asyncio.run(told())


def test_signed_reports_take_the_fast_path_from_the_first_on(folder):
    async def story(side):
        for number in range(3):
            assert await side.status(signed_wire(at_s=number)) == 200
        assert side.acks.fast == [True] * 3
        assert len({event.headers[0] for event in side.events}) == 3

    on_the_fast_side(folder, story)


def test_a_repeated_head_keeps_the_signature_of_no_other_request(folder):
    async def story(side):
        assert await side.status(signed_wire()) == 200
        later = signed_wire(at_s=1)
        for wrong in (
            later.replace(b"T090001Z", b"T090002Z"),
            later.replace(BODY, BODY.replace(b"42", b"43")),
            later.replace(BODY, BODY.swapcase()),
            digest_of(signed_wire(at_s=2), later),
        ):
            assert await side.status(wrong) == 401
        assert await side.status(later) == 200

    on_the_fast_side(folder, story)


def test_a_signed_header_that_may_differ_in_a_repeated_head_may_not_be_changed_by_others(folder):
    async def story(side):
        assert await side.status(signed_wire(Idempotency_Key="first")) == 200
        later = signed_wire(at_s=1, Idempotency_Key="first")
        assert b"idempotency-key;" in later
        assert await side.status(later.replace(b": first\r\n", b": other\r\n")) == 401
        assert await side.status(later) == 200
        assert await side.status(signed_wire(at_s=2, Idempotency_Key="second")) == 200

    on_the_fast_side(folder, story)


def test_a_key_that_is_removed_or_replaced_is_refused_on_the_same_connection(folder):
    async def story(side):
        assert await side.status(signed_wire()) == 200
        write_private(folder / "keys", json.dumps({**KEYS[0], "secret": "another"}) + "\n")
        side.keys.load()
        assert await side.status(signed_wire(at_s=1)) == 401
        assert await side.status(signed_wire(at_s=1, secret="another")) == 200
        write_private(folder / "keys", "")
        side.keys.load()
        assert await side.status(signed_wire(at_s=2, secret="another")) == 401

    on_the_fast_side(folder, story)


def test_a_repeated_request_is_refused_after_its_uses_and_after_its_time(folder):
    async def story(side):
        for _ in range(USES):
            assert await side.status(signed_wire()) == 200
        assert await side.status(signed_wire()) == 401
        assert await side.status(signed_wire(at_s=1)) == 200
        side.now_s += 902
        assert await side.status(signed_wire(at_s=1)) == 401

    on_the_fast_side(folder, story)


def test_a_signature_that_covers_the_length_is_checked_against_the_length_of_its_own_request(folder):
    async def story(side):
        for body in (BODY, BODY + b" ", BODY + b"  "):
            sent = signed_wire(body, Content_Length=str(len(body)))
            sent = sent.replace(b"\r\nContent-Length: %d\r\n\r\n" % len(body), b"\r\n\r\n")
            assert b"content-length;" in sent
            assert await side.status(sent) == 200

    on_the_fast_side(folder, story)


def test_a_large_signed_body_takes_the_ordinary_path(folder):
    async def story(side):
        await side.answer(signed_wire(BODY + b" " * 65_536))
        await side.answer(signed_wire())
        assert side.acks.fast == [False, True]

    on_the_fast_side(folder, story)


def test_a_cached_token_takes_the_fast_path_until_the_cache_ends(folder):
    async def story(side):
        for _ in range(3):
            assert await side.status(token_wire("good")) == 200
        assert side.acks.fast == [False, True, True]
        assert side.identity.asked == 1
        side.now_s += CACHE_S + 1
        side.identity.known.clear()
        assert await side.status(token_wire("good")) == 401
        assert side.identity.asked == 2
        assert await side.status(token_wire("good")) == 401
        assert len(side.events) == 3

    on_the_fast_side(folder, story)

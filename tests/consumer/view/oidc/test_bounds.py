"""Sign-ins that began and sessions are bounded: in all, by address and by person. No more than an address is returned to."""

from __future__ import annotations

import pytest

from taskstream.consumer.view.oidc.pending_sign_ins import VALID_S, PendingSignIn, PendingSignIns
from taskstream.consumer.view.oidc.sessions import BrowserSession, BrowserSessions
from taskstream.consumer.view.oidc.web_address import is_secure_address, is_web_address, return_query
from taskstream.schemas.http.caller import Caller, Role


def pending(source: str = "", begun_s: float = 0.0) -> PendingSignIn:
    return PendingSignIn("cookie", "nonce", "verifier", "", source, begun_s)


def session(subject: str, expires_at_s: float = 100.0) -> BrowserSession:
    return BrowserSession(subject, Caller("p", frozenset({Role.READ})), expires_at_s)


def test_one_address_ends_only_its_own_sign_ins():
    kept = PendingSignIns(per_source=2, in_all=10)
    kept.begin("mine", pending("a"))
    for number in range(50):
        kept.begin(str(number), pending("b"))
    assert len(kept) == 3
    assert kept.take("mine", "cookie", 0) is not None
    assert kept.take("47", "cookie", 0) is None
    assert kept.take("49", "cookie", 0) is not None


def test_many_addresses_end_the_oldest_and_leave_nothing_behind():
    kept = PendingSignIns(per_source=2, in_all=10)
    for number in range(100):
        kept.begin(str(number), pending(f"address-{number}"))
    assert len(kept) == len(kept._of_source) == 10
    for number in range(90, 100):
        assert kept.take(str(number), "cookie", 0) is not None
    assert len(kept) == len(kept._of_source) == 0


def test_behind_a_proxy_only_the_bound_of_all_counts():
    kept = PendingSignIns(per_source=2, in_all=10)
    for number in range(100):
        kept.begin(str(number), pending())
    assert len(kept) == 10


def test_sign_ins_that_are_too_old_make_room_and_are_not_taken():
    kept = PendingSignIns(per_source=9, in_all=10)
    kept.begin("old", pending("a"))
    kept.begin("new", pending("a", begun_s=VALID_S + 1))
    assert len(kept) == 1
    assert kept.take("new", "cookie", 2 * VALID_S + 2) is None
    assert len(kept) == 0


def test_another_cookie_takes_nothing_and_ends_it():
    kept = PendingSignIns()
    kept.begin("state", pending())
    assert kept.take("state", "", 0) is None
    assert kept.take("state", "cookie", 0) is None


def test_one_person_ends_only_their_own_sessions():
    sessions = BrowserSessions(per_person=2, in_all=5)
    sessions.open("mine", session("ada"))
    for number in range(50):
        sessions.open(str(number), session("ben"))
    assert len(sessions) == 3
    assert sessions.find("mine", 0) is not None
    for number in range(10):
        sessions.open(f"of {number}", session(str(number)))
    assert len(sessions) == 5
    assert sessions.find("mine", 0) is None


def test_a_session_ends_when_it_expires_or_is_ended():
    sessions = BrowserSessions()
    sessions.open("a", session("ada", expires_at_s=100))
    assert sessions.find("a", 99.9) is not None
    assert sessions.find("b", 0) is None
    assert sessions.find("a", 100) is None
    assert len(sessions) == 0
    sessions.open("c", session("ada"))
    sessions.end("c")
    assert sessions.find("c", 0) is None


@pytest.mark.parametrize("text", ["", "?", "?q=1&task=a%2Fb#x", "?//evil.example", "?" + "x" * 2000])
def test_a_query_is_returned_to_as_it_is(text):
    assert return_query(text) == text


@pytest.mark.parametrize(
    "text",
    ["/", "//evil.example", "https://evil.example", "q=1", "\\\\evil", "?a\r\nb: c", "?ä", "? ", "?" + "x" * 2001],
)
def test_what_is_no_query_is_not_returned_to(text):
    assert return_query(text) == ""


@pytest.mark.parametrize(
    ("url", "usable", "secure"),
    [
        ("https://id.example/realms/x", True, True),
        ("http://127.0.0.1:8080", True, True),
        ("http://localhost:8080/", True, True),
        ("http://id.example", True, False),
        ("https://user@id.example", False, True),
        ("https://id.example/?a=b", False, True),
        ("https://id.example:port", False, True),
        ("https://", False, False),
        ("id.example", False, False),
        ("javascript:alert(1)", False, False),
        ("http://[::1", False, False),
    ],
)
def test_a_web_address_is_absolute_and_a_secret_goes_over_https_or_to_this_machine(url, usable, secure):
    assert (is_web_address(url), is_secure_address(url)) == (usable, secure)

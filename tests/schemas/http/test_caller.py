"""What is checked before any authenticator is asked, and after it."""

from __future__ import annotations

import asyncio

import pytest

from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.caller import TOKEN_CHARS, Caller, Role, identify_caller
from taskstream.schemas.http.request import HttpRequest


class OneToken:
    """Knows the token `good`; remembers whether it was asked."""

    def __init__(self) -> None:
        self.asked = False

    async def authenticate(self, request: HttpRequest, _body: bytes, /) -> Caller | None:
        self.asked = True
        return Caller("p", frozenset({Role.READ})) if request.headers.get("x-auth-token") == "good" else None


def identify(authenticator=None, *, path=b"/", query=b"", token=b"good"):
    request = HttpRequest("GET", path, query, [(b"x-auth-token", token)])
    return asyncio.run(identify_caller(request, b"", authenticator or OneToken()))


def test_the_authenticator_decides_who_calls():
    assert identify().project_id == "p"


def test_a_caller_that_no_authenticator_knows_is_401():
    with pytest.raises(ApiError) as refused:
        identify(token=b"x" * TOKEN_CHARS)
    assert refused.value.problem.kind.status == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"token": b"x" * (TOKEN_CHARS + 1)}, 431), ({"path": b"/\xc3\xa9"}, 400), ({"query": b"a=\xff"}, 400)],
)
def test_what_exceeds_a_bound_is_refused_before_the_authenticator_is_asked(changes, status):
    authenticator = OneToken()
    with pytest.raises(ApiError) as refused:
        identify(authenticator, **changes)
    assert refused.value.problem.kind.status == status
    assert not authenticator.asked


def test_one_of_the_required_roles_is_enough():
    caller = Caller("p", frozenset({Role.READ}))
    caller.require_role(Role.OPERATE, Role.READ)
    with pytest.raises(ApiError, match="the role 'operate' or 'report'"):
        caller.require_role(Role.OPERATE, Role.REPORT)

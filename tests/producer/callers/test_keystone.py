"""What is remembered of an identity service's answers, and for how long."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from taskstream.producer.callers.identity_service import TokenFacts
from taskstream.producer.callers.keystone import NEGATIVE_CACHE_S, KeystoneTokens
from taskstream.producer.callers.keystone_settings import CACHE_S, DEFAULT_ROLES, read_keystone_settings
from taskstream.producer.errors import CredentialsUnusable, IdentityUnavailable
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.caller import Role
from taskstream.schemas.http.request import HttpRequest
from tests.private_files import write_private


class FakeIdentity:
    """Knows the tokens that it is given; counts what it is asked."""

    def __init__(self, **known: TokenFacts) -> None:
        self.known = known
        self.asked = 0
        self.down = False
        self.answering = threading.Event()
        self.answering.set()

    def validate(self, token: str) -> TokenFacts | None:
        self.asked += 1
        self.answering.wait(5)
        if self.down:
            raise IdentityUnavailable("down")
        return self.known.get(token)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def facts(expires=9e9, project="p", roles=("member",)):
    return TokenFacts(project, frozenset(roles), expires)


def request_with(token):
    return HttpRequest("PUT", b"/", b"", [(b"x-auth-token", token.encode())])


def ask(tokens, token="good"):
    return asyncio.run(tokens.authenticate(request_with(token), b""))


def test_a_good_token_gives_its_project_and_what_its_roles_may_do():
    caller = ask(KeystoneTokens(FakeIdentity(good=facts())))
    assert caller.project_id == "p"
    assert caller.roles == {Role.REPORT, Role.READ}


def test_a_good_token_is_asked_once_until_the_cache_ends():
    identity, clock = FakeIdentity(good=facts()), Clock()
    tokens = KeystoneTokens(identity, clock_s=clock)
    ask(tokens)
    clock.now += CACHE_S - 1
    ask(tokens)
    assert identity.asked == 1
    clock.now += 2
    ask(tokens)
    assert identity.asked == 2


def test_a_token_is_never_remembered_past_its_end():
    identity, clock = FakeIdentity(good=facts(expires=1010.0)), Clock()
    tokens = KeystoneTokens(identity, clock_s=clock)
    ask(tokens)
    clock.now = 1010.0
    with pytest.raises(ApiError) as refused:
        ask(tokens)
    assert refused.value.problem.kind.status == 401


def test_an_unknown_token_is_remembered_shortly():
    identity, clock = FakeIdentity(), Clock()
    tokens = KeystoneTokens(identity, clock_s=clock)
    for _ in range(3):
        with pytest.raises(ApiError):
            ask(tokens, "bad")
    assert identity.asked == 1
    clock.now += NEGATIVE_CACHE_S
    with pytest.raises(ApiError):
        ask(tokens, "bad")
    assert identity.asked == 2


def test_an_outage_is_503_and_is_not_remembered():
    identity = FakeIdentity(good=facts())
    tokens = KeystoneTokens(identity)
    identity.down = True
    with pytest.raises(ApiError) as refused:
        ask(tokens)
    assert (refused.value.problem.kind.status, refused.value.problem.retry_after_s) == (503, 2)
    identity.down = False
    assert ask(tokens) is not None


def test_what_is_remembered_outlives_an_outage():
    identity = FakeIdentity(good=facts())
    tokens = KeystoneTokens(identity)
    ask(tokens)
    identity.down = True
    assert ask(tokens) is not None


def test_many_requests_with_one_token_ask_once():
    identity = FakeIdentity(good=facts())
    identity.answering.clear()
    tokens = KeystoneTokens(identity)

    async def many():
        request = request_with("good")
        asking = [asyncio.ensure_future(tokens.authenticate(request, b"")) for _ in range(50)]
        await asyncio.sleep(0)
        identity.answering.set()
        return await asyncio.gather(*asking)

    assert len(asyncio.run(many())) == 50
    assert identity.asked == 1


def test_a_token_without_a_project_is_403_and_is_remembered_shortly():
    identity = FakeIdentity(good=facts(project=None))
    tokens = KeystoneTokens(identity)
    for _ in range(2):
        with pytest.raises(ApiError) as refused:
            ask(tokens)
        assert refused.value.problem.kind.status == 403
    assert identity.asked == 1


def test_a_service_that_is_slow_is_503_in_bounded_time():
    identity = FakeIdentity(good=facts())
    identity.answering.clear()
    try:
        with pytest.raises(ApiError, match="did not respond within") as refused:
            ask(KeystoneTokens(identity, response_s=0.01))
        assert refused.value.problem.kind.status == 503
    finally:
        identity.answering.set()


FILE = {"url": "https://iam", "username": "u", "password": "sesame", "project": "service"}


def settings_of(tmp_path, document):
    path = tmp_path / "keystone.json"
    write_private(path, document if isinstance(document, str) else json.dumps(document))
    return read_keystone_settings(path)


def test_the_file_says_what_the_services_roles_mean_here(tmp_path):
    settings = settings_of(tmp_path, {**FILE, "roles": {"migrator": ["report"]}, "cache_s": 5})
    assert settings.roles == {"migrator": {Role.REPORT}}
    assert settings.cache_s == 5
    assert settings_of(tmp_path, FILE).roles is DEFAULT_ROLES
    assert "sesame" not in repr(settings)


@pytest.mark.parametrize(
    "document, told",
    [
        ("{", "JSON"),
        ([], "needs"),
        ({**FILE, "more": 1}, "nothing else"),
        ({**FILE, "password": ""}, "password"),
        ({**FILE, "project": 5}, "project"),
        ({**FILE, "url": "iam.example"}, "https"),
        ({**FILE, "roles": ["report"]}, "roles"),
        ({**FILE, "roles": {"member": ["all"]}}, "member"),
        ({**FILE, "cache_s": -1}, "cache_s"),
        ({**FILE, "cache_s": "5"}, "cache_s"),
    ],
)
def test_a_wrong_file_is_told_and_shows_no_secret(tmp_path, document, told):
    with pytest.raises(CredentialsUnusable, match=told) as refused:
        settings_of(tmp_path, document)
    assert "sesame" not in str(refused.value)


def test_no_token_itself_is_remembered():
    tokens = KeystoneTokens(FakeIdentity(good=facts()))
    ask(tokens)
    assert "good" not in repr(tokens._cache)

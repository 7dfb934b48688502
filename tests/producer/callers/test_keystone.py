"""What is remembered of an identity service's answers, and for how long."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from taskstream.producer.callers.identity_service import TokenFacts
from taskstream.producer.callers.keystone import CACHE_TOKENS, NEGATIVE_CACHE_S, KeystoneTokens
from taskstream.producer.callers.keystone_settings import CACHE_S, DEFAULT_ROLES, read_keystone_settings
from taskstream.producer.callers.validation_rooms import PER_SOURCE, ValidationRoom
from taskstream.producer.errors import CredentialsUnusable, IdentityUnavailable
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.caller import Role
from taskstream.schemas.http.request import HttpRequest
from tests.private_files import write_private
from tests.waiting import LIMIT_S


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
        self.answering.wait(LIMIT_S)
        if self.down:
            raise IdentityUnavailable("down")
        return self.known.get(token)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def facts(expires=9e9, project="p", roles=("member",)):
    return TokenFacts(project, frozenset(roles), expires)


def request_with(token, address="192.0.2.1"):
    return HttpRequest("PUT", b"/", b"", [(b"x-auth-token", token.encode())], address=address)


def ask(tokens, token="good", address="192.0.2.1"):
    return asyncio.run(tokens.authenticate(request_with(token, address), b""))


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


@pytest.mark.slow
def test_tokens_that_are_refused_never_evict_a_valid_one():
    identity, clock = FakeIdentity(good=facts()), Clock()
    tokens = KeystoneTokens(identity, clock_s=clock)

    async def storm():
        await tokens.authenticate(request_with("good"), b"")
        for number in range(CACHE_TOKENS + 10):
            with pytest.raises(ApiError):
                await tokens.authenticate(request_with(f"bad-{number}"), b"")

    asyncio.run(storm())
    asked = identity.asked
    assert ask(tokens).project_id == "p"
    assert identity.asked == asked
    assert len(tokens._refused) == CACHE_TOKENS


class Storm:
    """Unknown tokens that the service holds up until the storm is over."""

    def __init__(self, identity, tokens):
        self.identity = identity
        self.tokens = tokens
        self.asking = []

    async def begin(self, count, address):
        self.identity.answering.clear()
        for number in range(count):
            request = request_with(f"{address} bad-{number}", address)
            self.asking.append(asyncio.ensure_future(self.tokens.authenticate(request, b"")))
        await asyncio.sleep(0)

    async def end(self):
        """The status of each."""
        self.identity.answering.set()
        outcomes = await asyncio.gather(*self.asking, return_exceptions=True)
        return [outcome.problem.kind.status for outcome in outcomes]


def in_storm(identity, count, addresses, act, **options):
    """The result of `act(tokens)` during a storm, and the statuses of the storm."""
    clock = Clock()
    tokens = KeystoneTokens(identity, clock_s=clock, **options)

    async def run():
        await tokens.authenticate(request_with("seen", "198.51.100.1"), b"")
        clock.now += CACHE_S + 1
        storm = Storm(identity, tokens)
        for address in addresses:
            await storm.begin(count, address)
        done = asyncio.ensure_future(act(tokens))
        await (asyncio.wait([done]) if isinstance(identity, OnlyGood) else asyncio.sleep(0))
        statuses = await storm.end()
        return await asyncio.wait_for(asyncio.gather(done, return_exceptions=True), 60), statuses

    return asyncio.run(run())


def test_one_address_holds_few_of_the_validations():
    identity = FakeIdentity(good=facts(), seen=facts())
    (good,), statuses = in_storm(
        identity, 100, ["203.0.113.1"], lambda tokens: tokens.authenticate(request_with("good"), b"")
    )
    assert good.project_id == "p"
    assert (statuses.count(401), statuses.count(503)) == (PER_SOURCE, 100 - PER_SOURCE)


def test_one_address_never_holds_every_thread():
    identity = OnlyGood(good=facts(), seen=facts())
    (good,), _ = in_storm(identity, 100, ["203.0.113.1"], lambda tokens: tokens.authenticate(request_with("good"), b""))
    assert good.project_id == "p"


class OnlyGood(FakeIdentity):
    """Answers for the tokens that it knows at once, and for others when the storm ends.

    A request that has to wait for one of the others is answered with 503 before.
    """

    def validate(self, token: str) -> TokenFacts | None:
        if token not in self.known:
            self.answering.wait(LIMIT_S)
        return self.known.get(token)


def test_beyond_the_room_for_unknown_tokens_a_token_is_503_at_once_and_one_seen_before_is_validated():
    addresses = [f"203.0.113.{number}" for number in range(20)]
    identity = FakeIdentity(good=facts(), seen=facts())
    (seen,), statuses = in_storm(
        identity, PER_SOURCE, addresses, lambda tokens: tokens.authenticate(request_with("seen"), b"")
    )
    assert seen.project_id == "p"
    assert statuses.count(401) == ValidationRoom.OPEN.value
    identity = FakeIdentity(good=facts(), seen=facts())
    (good,), _ = in_storm(
        identity, PER_SOURCE, addresses, lambda tokens: tokens.authenticate(request_with("good"), b"")
    )
    assert (good.problem.kind.status, good.problem.retry_after_s) == (503, 2)


def test_a_new_token_from_an_address_that_had_a_valid_one_is_validated_in_the_storm():
    addresses = [f"203.0.113.{number}" for number in range(20)]
    identity = FakeIdentity(good=facts(), seen=facts())
    (good,), _ = in_storm(
        identity, PER_SOURCE, addresses, lambda tokens: tokens.authenticate(request_with("good", "198.51.100.1"), b"")
    )
    assert good.project_id == "p"


def test_behind_a_proxy_no_address_is_limited_or_known():
    identity = FakeIdentity(good=facts(), seen=facts())
    (good,), statuses = in_storm(
        identity,
        100,
        ["198.51.100.1", "198.51.100.2"],
        lambda tokens: tokens.authenticate(request_with("seen", "198.51.100.1"), b""),
        per_source=0,
    )
    assert good.project_id == "p"
    assert statuses.count(401) == ValidationRoom.OPEN.value


def test_a_token_that_is_no_longer_valid_is_no_longer_known():
    identity, clock = FakeIdentity(good=facts()), Clock()
    tokens = KeystoneTokens(identity, clock_s=clock)
    ask(tokens)
    clock.now += CACHE_S
    identity.known.clear()
    with pytest.raises(ApiError):
        ask(tokens)
    assert not tokens._callers


FILE = {"url": "https://iam", "username": "u", "password": "sesame", "project": "service"}


def settings_of(tmp_path, document):
    path = tmp_path / "keystone.json"
    write_private(path, document if isinstance(document, str) else json.dumps(document))
    return read_keystone_settings(path)


def test_the_file_says_what_the_services_roles_mean_here(tmp_path):
    settings = settings_of(tmp_path, {**FILE, "roles": {"migrator": ["report"]}, "cache_s": 5, "response_s": 30})
    assert settings.roles == {"migrator": {Role.REPORT}}
    assert (settings.cache_s, settings.response_s) == (5, 30)
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
        ({**FILE, "response_s": 0}, "response_s must be a number of seconds from 1 to 86400"),
    ],
)
def test_a_wrong_file_is_told_and_shows_no_secret(tmp_path, document, told):
    with pytest.raises(CredentialsUnusable, match=told) as refused:
        settings_of(tmp_path, document)
    assert "sesame" not in str(refused.value)


def test_no_token_itself_is_remembered():
    tokens = KeystoneTokens(FakeIdentity(good=facts()))
    ask(tokens)
    assert "good" not in repr(vars(tokens))

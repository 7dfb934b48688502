"""The sign-in with a real provider on loopback, without a browser and without a view: what opens a session and what not."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlencode

import pytest

from taskstream.compose.server.oidc import OidcSettings, build_sign_in
from taskstream.consumer.view.http.browser_sign_in import NoProvider
from taskstream.consumer.view.oidc.pending_sign_ins import IN_ALL, PER_SOURCE
from taskstream.consumer.view.oidc.role_claims import RoleClaims, RoleGrant
from taskstream.consumer.view.oidc.sign_in import AT_ONCE, OidcSignIn
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.caller import Role
from tests.oidc.browser import Visitor, consent, header, parameters
from tests.oidc.provider import CLIENT_ID, CLIENT_SECRET, Faults, OpenIDProvider
from tests.private_files import write_private

ROLES = RoleClaims("groups", (RoleGrant("admins", Role.OPERATE, "operations"), RoleGrant("team", Role.READ, "p-1")))
PUBLIC = "https://view.example/tasks"


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIDProvider]:
    with OpenIDProvider() as provider:
        provider.client.redirect_uri = f"{PUBLIC}/oidc/callback"
        provider.people = {
            "ada": {"groups": ["staff", "admins"], "preferred_username": "ada.l"},
            "ben": {"groups": ["team"], "name": "Ben"},
            "eve": {"groups": ["<b>staff</b>"]},
        }
        yield provider


@pytest.fixture
def provider(running: OpenIDProvider) -> OpenIDProvider:
    running.faults = Faults()
    return running


class Desk:
    """A sign-in, its clock, and what it reported."""

    def __init__(self, provider: OpenIDProvider, folder, public_url: str = PUBLIC, **settings) -> None:
        secret = folder / "client-secret"
        if not secret.exists():
            write_private(secret, CLIENT_SECRET + "\n")
        self.ahead_s = 0.0
        given = {"issuer": provider.issuer, "client_id": CLIENT_ID, "roles": ROLES, "name": "Provider"} | settings
        built = OidcSettings(public_url=public_url, secret_file=secret, **given)
        self.sign_in: OidcSignIn = build_sign_in(
            built, lambda: int((time.time() + self.ahead_s) * 1e6), behind_proxy=False
        )

    def visitor(self, address: str = "10.0.0.1") -> Visitor:
        return Visitor(self.sign_in.respond, address)


@pytest.fixture
def desk(provider: OpenIDProvider, tmp_path) -> Iterator[Desk]:
    made = Desk(provider, tmp_path)
    yield made
    made.sign_in.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())


async def caller_of(desk: Desk, visitor: Visitor, method: str = "GET", **headers: str):
    return await desk.sign_in.authenticate(visitor.request(method, "/tasks", **headers), b"")


def test_a_person_signs_in_and_returns_to_the_page_with_the_role_of_the_group(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        response = await visitor.sign_in("ada", to="%3Fhealth%3DSTALLED%26project%3Da%252Fb")
        assert response.status == 303
        assert header(response, "location") == "/tasks/?health=STALLED&project=a%2Fb"
        caller = await caller_of(desk, visitor)
        assert (caller.project_id, caller.roles, caller.name) == ("operations", {Role.OPERATE}, "ada.l")
        shown = await visitor.visit("/session")
        assert b'"name": "ada.l"' in shown.body
        assert b'"provider": {"name": "Provider"}' in shown.body
        reader = desk.visitor()
        await reader.sign_in("ben")
        caller = await caller_of(desk, reader)
        assert (caller.project_id, caller.roles) == ("p-1", {Role.READ})
        assert await caller_of(desk, desk.visitor()) is None

    run(scenario)


def test_the_request_has_pkce_state_and_nonce_and_its_url_no_secret_of_the_browser(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        sent = parameters(await visitor.begin())
        assert sent["response_type"] == "code"
        assert sent["code_challenge_method"] == "S256"
        assert sent["scope"] == "openid profile email"
        assert sent["redirect_uri"] == f"{PUBLIC}/oidc/callback"
        assert {"code_challenge", "state", "nonce"} <= sent.keys()
        assert not set(visitor.cookies.values()) & set(sent.values())

    run(scenario)


def test_cookies_are_for_this_host_over_https_and_no_script_reads_them(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        await visitor.sign_in("ada")
        binding, session = visitor.set_cookies
        for each in (binding, session):
            assert {"HttpOnly", "Secure", "Path=/tasks/"} <= set(each.split("; "))
        assert "SameSite=Lax" in binding
        assert "SameSite=Strict" in session

    run(scenario)


@pytest.mark.parametrize(
    ("public_url", "prefix", "secure"),
    [("https://view.example", "__Host-", True), ("http://127.0.0.1:8081", "taskstream-", False)],
)
def test_a_cookie_of_a_whole_host_has_the_prefix_that_only_this_host_can_set(
    provider, tmp_path, public_url, prefix, secure
):
    async def scenario() -> None:
        visitor = Desk(provider, tmp_path, public_url).visitor()
        await visitor.begin()
        (cookie,) = visitor.set_cookies
        assert cookie.startswith(prefix)
        assert ("Secure" in cookie) is secure
        assert "; Path=/;" in cookie

    run(scenario)


@pytest.mark.parametrize("planted", ["", "short", "x" * 101, "a" * 30 + '", b', "ä" * 30])
def test_a_cookie_that_the_view_did_not_make_is_replaced(desk, planted):
    async def scenario() -> None:
        visitor = desk.visitor()
        await visitor.begin()
        (name,) = visitor.cookies
        made = visitor.cookies[name] = planted
        await visitor.begin()
        assert visitor.cookies[name] != made
        kept = visitor.cookies[name]
        await visitor.begin()
        assert visitor.cookies[name] == kept

    run(scenario)


@pytest.mark.parametrize(
    "to",
    ["https://evil.example/", "//evil.example", "/%5Cevil.example", "javascript:alert(1)", "%3F%0D%0Aset-cookie:a=b"],
)
def test_no_address_but_the_views_own_page_is_returned_to(desk, to):
    async def scenario() -> None:
        response = await desk.visitor().sign_in("ada", to)
        assert header(response, "location") == "/tasks/"

    run(scenario)


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"claims": {"nonce": "another"}}, "nonce"),
        ({"claims": {"nonce": None}}, "nonce"),
        ({"claims": {"aud": "another-client"}}, "aud"),
        ({"claims": {"aud": [CLIENT_ID, "another-client"]}}, "azp"),
        ({"claims": {"azp": "another-client"}}, "azp"),
        ({"claims": {"iss": "https://another.example"}}, "iss"),
        ({"claims": {"sub": None}}, "sub"),
        ({"claims": {"exp": int(time.time()) - 120}}, "expired"),
        ({"claims": {"exp": None}}, "exp"),
        ({"claims": {"iat": int(time.time()) + 7200}}, "future|not valid yet"),
        ({"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}}, "at_hash"),
        ({"unsigned": True}, "none"),
        ({"shared_key": True}, "HS256"),
        ({"foreign_key": True}, "signature"),
    ],
    ids=lambda value: re.sub(r"\d{9,}", "a time", str(value)),  # the same name in every process
)
def test_an_id_token_that_is_not_for_this_sign_in_opens_no_session(desk, provider, faults, why):
    async def scenario() -> None:
        visitor = desk.visitor()
        provider.faults = Faults(**faults)
        response = await visitor.sign_in("ada")
        assert response.status == 403
        assert re.search(why, response.body.decode())
        assert await caller_of(desk, visitor) is None

    run(scenario)


def test_clocks_may_differ_by_less_than_a_minute(desk, provider):
    async def scenario() -> None:
        provider.faults.claims["exp"] = int(time.time()) - 5
        assert (await desk.visitor().sign_in("ada")).status == 303

    run(scenario)


def test_a_rotated_key_is_used_at_once_and_a_withdrawn_one_no_longer(desk, provider):
    async def scenario() -> None:
        assert (await desk.visitor().sign_in("ada")).status == 303
        provider.rotate()
        assert (await desk.visitor().sign_in("ada")).status == 303
        provider.faults.foreign_key = True
        assert (await desk.visitor().sign_in("ada")).status == 403

    run(scenario)


def test_a_sign_in_is_completed_once_and_only_in_the_browser_that_began_it(desk):
    async def scenario() -> None:
        visitor, other = desk.visitor(), desk.visitor()
        callback = consent(await visitor.begin(), "ada")
        await other.begin()
        stolen = await other.end(callback)
        assert stolen.status == 400
        assert await caller_of(desk, other) is None
        assert (await visitor.end(callback)).status == 400  # the theft has ended it
        callback = consent(await visitor.begin(), "ada")
        assert (await visitor.end(callback)).status == 303
        assert (await visitor.end(callback)).status == 400
        assert (await visitor.end(callback.replace("state=", "state=x"))).status == 400

    run(scenario)


def test_a_code_that_was_used_opens_no_second_session(desk):
    async def scenario() -> None:
        first, second = desk.visitor(), desk.visitor()
        used = consent(await first.begin(), "ada")
        await first.end(used)
        fresh = parameters(await second.begin())
        response = await second.end(f"?code={parameters(used)['code']}&state={fresh['state']}")
        assert response.status == 403
        assert "refuses the code" in response.body.decode()

    run(scenario)


def test_the_code_of_another_sign_in_is_refused_by_its_verifier(desk):
    async def scenario() -> None:
        victim, attacker = desk.visitor(), desk.visitor()
        stolen = consent(await victim.begin(), "ada")
        own = parameters(await attacker.begin())
        response = await attacker.end(f"?code={parameters(stolen)['code']}&state={own['state']}")
        assert response.status == 403
        assert await caller_of(desk, attacker) is None

    run(scenario)


def test_two_tabs_of_a_browser_may_sign_in_at_the_same_time(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        first, second = await visitor.begin("%3Fq%3D1"), await visitor.begin("%3Fq%3D2")
        for page, query in ((second, "?q=2"), (first, "?q=1")):
            assert header(await visitor.end(consent(page, "ada")), "location") == f"/tasks/{query}"

    run(scenario)


def test_a_sign_in_that_takes_too_long_is_begun_again_and_a_session_ends(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        callback = consent(await visitor.begin(), "ada")
        desk.ahead_s = 601
        assert (await visitor.end(callback)).status == 400
        desk.ahead_s = 0
        await visitor.sign_in("ada")
        desk.ahead_s = 8 * 3600 - 60
        assert await caller_of(desk, visitor) is not None
        desk.ahead_s = 8 * 3600 + 60
        assert await caller_of(desk, visitor) is None

    run(scenario)


def test_a_person_without_a_role_is_told_the_claim_and_its_values_and_no_markup_of_it_is_run(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        callback = consent(await visitor.begin("%3Fq%3D%22%3E"), "eve")
        response = await visitor.visit("/oidc/callback", callback.partition("?")[2], accept="text/html")
        page = response.body.decode()
        assert response.status == 403
        assert header(response, "content-type") == "text/html; charset=utf-8"
        assert "default-src 'none'" in header(response, "content-security-policy")
        assert "the claim &#x27;groups&#x27; of your account has &#x27;&lt;b&gt;staff" in page
        assert "needs one of &#x27;admins&#x27;, &#x27;team&#x27;" in page
        assert "<b>" not in page
        assert 'href="../?q=&quot;&gt;"' in page
        assert await caller_of(desk, visitor) is None

    run(scenario)


def test_what_the_provider_says_instead_of_a_code_is_shown_escaped_and_only_if_it_says_it(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        denied = consent(await visitor.begin(), deny=True)
        assert parameters(denied)["error"] == "access_denied"
        sent = {"state": parameters(denied)["state"], "error": "access_denied", "error_description": "<script>x"}
        response = await visitor.visit("/oidc/callback", urlencode(sent), accept="text/html")
        assert response.status == 403
        assert "Provider did not sign you in (access_denied): &lt;script&gt;x" in response.body.decode()
        assert "<script>" not in response.body.decode()
        forged = await visitor.end("?error=call+0900&error_description=call+0900&state=forged")
        assert forged.status == 403
        assert b"0900" not in forged.body

    run(scenario)


def test_a_provider_that_is_down_is_a_clear_error_and_comes_back(provider, tmp_path):
    desk = Desk(provider, tmp_path)

    async def scenario() -> None:
        visitor = desk.visitor()
        provider.stop()
        try:
            response = await visitor.visit("/oidc/start", accept="text/html")
        finally:
            provider.start()
        assert response.status == 503
        assert f"{provider.issuer} does not respond" in response.body.decode()
        assert "with a token works" in response.body.decode()
        assert header(response, "retry-after") == "5"
        desk.sign_in._provider._failure = ""  # two seconds later
        callback = consent(await visitor.begin(), "ada")
        provider.faults.status = 500
        assert (await visitor.end(callback)).status == 503
        provider.faults.status = 200
        assert (await visitor.sign_in("ada")).status == 303

    run(scenario)


def test_a_failed_discovery_is_not_repeated_for_every_visitor(provider, tmp_path):
    async def scenario() -> None:
        desk = Desk(provider, tmp_path)
        provider.faults.discovery["issuer"] = "https://another.example"
        asked = len(provider.requests)
        for _ in range(3):
            response = await desk.visitor().visit("/oidc/start")
            assert response.status == 503
            assert b"names the issuer https://another.example" in response.body
        assert len(provider.requests) == asked + 1

    run(scenario)


def test_a_slow_provider_holds_few_threads_and_nothing_else(provider, tmp_path):
    desk = Desk(provider, tmp_path)
    provider.faults.held = threading.Event()

    async def scenario() -> None:
        waiting = [asyncio.create_task(desk.visitor().visit("/oidc/start")) for _ in range(AT_ONCE)]
        await asyncio.sleep(0)  # each begins
        assert len(desk.sign_in._asking) == AT_ONCE
        refused = await desk.visitor().visit("/oidc/start")
        assert refused.status == 503
        assert b"too many sign-ins" in refused.body
        assert (await desk.visitor().visit("/session")).status == 200
        provider.faults.held.set()
        assert {each.status for each in await asyncio.gather(*waiting)} == {303}

    run(scenario)


def test_strangers_who_begin_sign_ins_fill_no_memory_and_end_only_their_own(desk):
    async def scenario() -> None:
        mine = desk.visitor("10.0.0.2")
        page = await mine.begin()
        stranger = desk.visitor("10.0.0.3")
        for _ in range(3 * PER_SOURCE):
            await stranger.begin()
        assert len(desk.sign_in._pending) == PER_SOURCE + 1
        assert (await mine.end(consent(page, "ada"))).status == 303
        assert PER_SOURCE < IN_ALL

    run(scenario)


def test_a_session_ends_when_its_browser_signs_out_and_no_other_site_uses_it(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        await visitor.sign_in("ada")
        assert await caller_of(desk, visitor, "PUT", origin="https://view.example") is not None
        with pytest.raises(ApiError, match="other sites"):
            await caller_of(desk, visitor, "PUT", origin="https://evil.example")
        foreign = await visitor.visit("/session", method="DELETE", origin="https://evil.example")
        assert foreign.status == 403
        kept = dict(visitor.cookies)
        response = await visitor.visit("/session", method="DELETE", origin="https://view.example")
        assert response.status == 200
        visitor.cookies = kept
        assert await caller_of(desk, visitor) is None

    run(scenario)


def test_a_token_goes_before_a_session(desk):
    async def scenario() -> None:
        visitor = desk.visitor()
        await visitor.sign_in("ada")
        assert await caller_of(desk, visitor, x_auth_token="") is not None
        assert await caller_of(desk, visitor, x_auth_token="unknown") is None

    run(scenario)


def test_a_view_without_a_provider_says_so_and_has_no_sign_in():
    async def scenario() -> None:
        visitor = Visitor(NoProvider().respond)
        shown = await visitor.visit("/session")
        assert (shown.status, shown.body) == (200, b'{"provider": null, "session": null}')
        assert (await visitor.visit("/session", method="DELETE")).status == 405
        assert (await visitor.visit("/oidc/start")).status == 404

    run(scenario)


def test_the_client_secret_is_read_anew_and_a_wrong_one_is_named(desk, tmp_path):
    async def scenario() -> None:
        write_private(tmp_path / "client-secret", "wrong")
        response = await desk.visitor().sign_in("ada")
        assert response.status == 503
        assert b"invalid_client" in response.body
        assert b"wrong" not in response.body
        write_private(tmp_path / "client-secret", CLIENT_SECRET)
        assert (await desk.visitor().sign_in("ada")).status == 303

    run(scenario)

"""What the client of a provider makes of one that is slow, sends anything, or is no provider; and what is sent to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from taskstream.consumer.errors import ProviderUnavailable, SignInRefused
from taskstream.consumer.view.oidc.provider import LONGEST_RESPONSE, OidcProvider, ProviderSettings
from tests.oidc.provider import CLIENT_ID, CLIENT_SECRET, Faults, OpenIDProvider
from tests.pipeline.edge.certificates import Authority

SHORT_S = 0.3
REDIRECT = "https://view.example/oidc/callback"


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIDProvider]:
    with OpenIDProvider() as provider:
        provider.client.redirect_uri = REDIRECT
        yield provider


@pytest.fixture
def provider(running: OpenIDProvider) -> OpenIDProvider:
    running.faults = Faults()
    return running


def client(provider: OpenIDProvider, timeout_s: float = 60, **settings) -> OidcProvider:
    given = {"issuer": provider.issuer, "client_id": CLIENT_ID, "redirect_url": REDIRECT} | settings
    return OidcProvider(ProviderSettings(**given), timeout_s=timeout_s)


@pytest.mark.parametrize("dripping", [False, True])
def test_a_provider_that_does_not_complete_its_response_in_time_is_unavailable(provider, dripping):
    provider.faults = Faults(dripping=dripping, held=threading.Event())
    try:
        with pytest.raises(ProviderUnavailable, match=r"does not respond|too slowly"):
            client(provider, SHORT_S).discover()
    finally:
        provider.faults.held.set()


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"body": b"<html>"}, "no JSON object"),
        ({"body": b"[]"}, "no JSON object"),
        ({"body": b"[" * 200_000}, "no JSON object"),
        ({"body": b" " * (LONGEST_RESPONSE + 1)}, "too much"),
        ({"status": 404}, "status 404"),
        ({"status": 302}, "status 302"),
        ({"discovery": {"issuer": "https://another.example"}}, "names the issuer https://another.example"),
        ({"discovery": {"issuer": None}}, "names the issuer"),
        ({"discovery": {"token_endpoint": "http://id.example/token"}}, "token_endpoint .* is not an https URL"),
        ({"discovery": {"jwks_uri": 7}}, "jwks_uri .* is not an https URL: 7"),
        ({"discovery": {"authorization_endpoint": "javascript:alert(1)"}}, "authorization_endpoint"),
    ],
)
def test_what_is_no_discovery_document_of_this_issuer_is_not_used(provider, faults, why):
    provider.faults = Faults(**faults)
    asking = client(provider)
    with pytest.raises(ProviderUnavailable, match=why):
        asking.discover()
    assert asking.authorization_url("state", "nonce", "verifier") is None


@pytest.mark.parametrize(
    ("methods", "refused"),
    [(["client_secret_post"], True), (["client_secret_basic"], False), (None, False), ("anything", False)],
)
def test_the_client_names_itself_as_the_provider_supports_it(provider, methods, refused):
    """The provider takes the header alone: with it, it comes to the code, which is unknown."""
    provider.faults.discovery = {"token_endpoint_auth_methods_supported": methods}
    asking = client(provider, secret=lambda: CLIENT_SECRET)
    with pytest.raises(ProviderUnavailable if refused else SignInRefused):
        asking.claims("unknown", "nonce", "v" * 43)


def test_a_provider_is_trusted_by_the_named_authority_alone(tmp_path):
    authority = Authority(tmp_path, "authority")
    with OpenIDProvider(authority.vouch_for("provider")) as provider:
        provider.client.redirect_uri = REDIRECT
        secret = {"secret": lambda: CLIENT_SECRET}
        with pytest.raises(SignInRefused, match="refuses the code"):
            client(provider, ca_file=str(authority.file), **secret).claims("unknown", "nonce", "v" * 43)
        with pytest.raises(ProviderUnavailable, match="SSLError"):
            client(provider, **secret).claims("unknown", "nonce", "v" * 43)


def test_threads_that_need_the_discovery_document_at_the_same_time_read_it_once(provider):
    asked = len(provider.requests)
    asking = client(provider)
    threads = [threading.Thread(target=asking.discover) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(provider.requests) == asked + 1
    assert asking.authorization_url("state", "nonce", "v" * 43).startswith(f"{provider.issuer}/authorize?")

"""Signs people in with an OpenID Connect provider: the start, the callback, and the session of a browser.

Authorization code flow with PKCE, state and nonce. It knows the view's routes and no protocol of tokens.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import parse_qsl

from taskstream.consumer.errors import ConsumerError, ProviderUnavailable, SignInRefused
from taskstream.consumer.view.http.browser_sign_in import CALLBACK_ROUTE, START_ROUTE, session_response
from taskstream.consumer.view.http.page_files import SECURITY
from taskstream.consumer.view.http.query_parameters import query_parameters
from taskstream.consumer.view.oidc.browser_cookies import BrowserCookies
from taskstream.consumer.view.oidc.pending_sign_ins import VALID_S, PendingSignIn, PendingSignIns
from taskstream.consumer.view.oidc.refusal_page import refusal_page
from taskstream.consumer.view.oidc.role_claims import RoleClaims
from taskstream.consumer.view.oidc.sessions import BrowserSession, BrowserSessions
from taskstream.consumer.view.oidc.web_address import return_query
from taskstream.schemas.http.api_error import FORBIDDEN, MALFORMED, UNAVAILABLE, ApiError, ProblemDetails
from taskstream.schemas.http.caller import Caller
from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.http.response import HttpResponse, content_response, problem_response

AT_ONCE: Final = 8
"""How many requests wait for the provider at once. Others are refused: they would only wait as long."""
ANSWER_S: Final = 12.0
"""How long a browser waits for the provider; a callback needs up to three of its responses."""
SESSION_S: Final = 8 * 3600.0
_SECRET_BYTES: Final = 32
_CODES: Final = frozenset(
    {
        *("access_denied", "invalid_request", "invalid_scope", "server_error", "temporarily_unavailable"),
        *("unauthorized_client", "unsupported_response_type", "interaction_required", "login_required"),
        *("account_selection_required", "consent_required"),
    }
)
"""What a provider says instead of a code (RFC 6749, 4.1.2.1; OpenID Connect Core, 3.1.2.6)."""
Found = TypeVar("Found")


class IdentityProvider(Protocol):
    """The provider, as `OidcProvider` is one. `discover` and `claims` block."""

    def authorization_url(self, state: str, nonce: str, verifier: str) -> str | None:
        """Where the browser signs in; None: `discover` must be called first."""
        ...

    def discover(self) -> None:
        """Prepare `authorization_url`.

        Raises:
            ProviderUnavailable: the provider does not respond.
        """
        ...

    def claims(self, code: str, nonce: str, verifier: str) -> Mapping[str, Any]:
        """The claims of the person whose sign-in has this code.

        Raises:
            ProviderUnavailable, SignInRefused: there are none.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings:
    """How people sign in."""

    provider_name: str
    """As the page's button has it."""
    public_url: str
    """The view, as browsers see it."""
    roles: RoleClaims
    session_s: float = SESSION_S
    limit_per_source: bool = True
    """Whether the client's address is its own, and not that of a proxy."""


class OidcSignIn:
    """The sign-in of one view, which is also the authenticator of its sessions. `now_s`: seconds since 1970."""

    def __init__(
        self,
        provider: IdentityProvider,
        settings: SignInSettings,
        now_s: Callable[[], float] = time.time,
        on_signed_in: Callable[[Caller], None] = lambda _: None,
        on_problem: Callable[[str], None] = lambda _: None,
    ) -> None:
        """on_signed_in: called with everybody who signed in. on_problem: why somebody could not, said once in a row."""
        self._provider = provider
        self._settings = settings
        self._now_s = now_s
        self._on_signed_in = on_signed_in
        self._on_problem = on_problem
        self._cookies = BrowserCookies(settings.public_url)
        self._pending = PendingSignIns()
        self._sessions = BrowserSessions()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="oidc")
        self._asking: set[Future[Any]] = set()
        self._last_problem = ""

    async def respond(self, route: str, request: HttpRequest) -> HttpResponse:
        """See `BrowserSignIn`."""
        if route in {START_ROUTE, CALLBACK_ROUTE}:
            request.require_method("GET")
            return await (self._begin(request) if route == START_ROUTE else self._end(request))
        request.require_method("GET", "HEAD", "DELETE")
        if request.method == "DELETE":
            return self._sign_out(request)
        return session_response(request, self._settings.provider_name, self._session_json(request))

    async def authenticate(self, request: HttpRequest, _body: bytes, /) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`. A request with a token or a signature has no session."""
        if request.headers.raw.get(b"x-auth-token") or b"authorization" in request.headers.raw:
            return None
        session = self._session(request)
        if session is None:
            return None
        if request.method not in {"GET", "HEAD"}:
            self._require_own_page(request)
        return session.caller

    def close(self) -> None:
        """Start no more requests to the provider."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _begin(self, request: HttpRequest) -> HttpResponse:
        """Send the browser to the provider. `to` is the query of the page that it returns to."""
        query = ""
        try:
            query = return_query(query_parameters(request, frozenset({"to"})).get("to", ""))
            return await self._start(request, query)
        except ApiError as error:
            return _refused(request, error.problem, query)

    async def _end(self, request: HttpRequest) -> HttpResponse:
        """Open a session for the browser that the provider sends back, and send it to its page."""
        pending = None
        try:
            answer = _answer_of(request)
            pending = self._pending.take(
                answer.get("state", ""), self._cookies.binding_of(request), now_s=self._now_s()
            )
            return await self._complete(request, answer, pending)
        except ApiError as error:
            return _refused(request, error.problem, "" if pending is None else pending.return_query)

    async def _start(self, request: HttpRequest, query: str) -> HttpResponse:
        state, nonce, verifier = (secrets.token_urlsafe(_SECRET_BYTES) for _ in range(3))
        url = self._provider.authorization_url(state, nonce, verifier)
        if url is None:
            await self._asked(self._provider.discover)
            url = self._provider.authorization_url(state, nonce, verifier)
        if url is None or not (url.isascii() and url.isprintable()):
            raise ApiError(UNAVAILABLE, "the sign-in provider's address cannot be used", retry_after_s=5)
        binding = self._cookies.binding_of(request) or secrets.token_urlsafe(_SECRET_BYTES)  # of a tab before this one
        source = request.address if self._settings.limit_per_source else ""
        self._pending.begin(state, PendingSignIn(binding, nonce, verifier, query, source, self._now_s()))
        return _redirect(request, url, self._cookies.set_binding(binding, VALID_S))

    async def _complete(
        self, request: HttpRequest, answer: Mapping[str, str], pending: PendingSignIn | None
    ) -> HttpResponse:
        if "error" in answer:
            code = answer["error"] if answer["error"] in _CODES else "another error"
            # only the provider knows the state: from anybody else no words of their own are shown
            words = f": {answer['error_description'][:300]}" if pending and answer.get("error_description") else ""
            raise ApiError(FORBIDDEN, f"{self._settings.provider_name} did not sign you in ({code}){words}")
        if pending is None:
            raise ApiError(
                MALFORMED,
                "this sign-in was not begun in this browser, is complete already, or took longer than "
                f"{VALID_S / 60:.0f} minutes: begin again",
            )
        if not answer.get("code"):
            raise ApiError(MALFORMED, "the provider's response has no code: begin again")
        claims = await self._asked(lambda: self._provider.claims(answer["code"], pending.nonce, pending.verifier))
        try:
            caller = self._settings.roles.caller(claims)
        except SignInRefused as error:
            raise self._problem(error) from error
        secret, lasts_s = secrets.token_urlsafe(_SECRET_BYTES), self._settings.session_s
        self._sessions.end(self._cookies.session_of(request))
        self._sessions.open(secret, BrowserSession(str(claims.get("sub", "")), caller, self._now_s() + lasts_s))
        self._last_problem = ""
        self._on_signed_in(caller)
        return _redirect(request, self._cookies.path + pending.return_query, self._cookies.set_session(secret, lasts_s))

    async def _asked(self, call: Callable[[], Found]) -> Found:
        """The result of a call to the provider, in a thread that nothing else of the view uses.

        Raises:
            ApiError: the provider does not respond, refuses, or too many wait for it.
        """
        if len(self._asking) >= AT_ONCE:
            raise ApiError(UNAVAILABLE, "too many sign-ins wait for the provider now: try again", retry_after_s=2)
        future = self._threads.submit(call)
        self._asking.add(future)
        future.add_done_callback(self._asking.discard)
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), ANSWER_S)
        except TimeoutError as error:
            slow = ProviderUnavailable(f"{self._settings.provider_name} did not respond within {ANSWER_S:g} s")
            raise self._problem(slow) from error
        except (ProviderUnavailable, SignInRefused) as error:
            raise self._problem(error) from error

    def _problem(self, error: ConsumerError) -> ApiError:
        if str(error) != self._last_problem:
            self._last_problem = str(error)
            self._on_problem(self._last_problem)
        if isinstance(error, SignInRefused):
            return ApiError(FORBIDDEN, str(error))
        return ApiError(UNAVAILABLE, f"{error}. Signing in with a token works", retry_after_s=5)

    def _session_json(self, request: HttpRequest) -> dict[str, Any] | None:
        found = self._session(request)
        if found is None:
            return None
        caller = found.caller
        return {
            "name": caller.name,
            "project_id": caller.project_id,
            "roles": sorted(caller.roles),
            "expires_at_ms": int(found.expires_at_s * 1000),
        }

    def _sign_out(self, request: HttpRequest) -> HttpResponse:
        """End the session of this browser. That at the provider goes on.

        Raises:
            ApiError: FORBIDDEN, when the request is another site's.
        """
        self._require_own_page(request)
        self._sessions.end(self._cookies.session_of(request))
        gone = (self._cookies.set_session("", 0),)
        return session_response(request, self._settings.provider_name, None, gone)

    def _session(self, request: HttpRequest) -> BrowserSession | None:
        secret = self._cookies.session_of(request)
        return self._sessions.find(secret, self._now_s()) if secret else None

    def _require_own_page(self, request: HttpRequest) -> None:
        """Browsers name the origin of a request that changes something; programs need not."""
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() != self._cookies.origin:
            raise ApiError(FORBIDDEN, f"the session of {self._cookies.origin} is not for requests of other sites")


def _answer_of(request: HttpRequest) -> dict[str, str]:
    """The parameters of the callback; those that are not known mean nothing (RFC 6749, 4.1.2).

    Raises:
        ApiError: MALFORMED, when they cannot be parsed, or one is given twice.
    """
    try:
        pairs = parse_qsl(request.query.decode("latin-1"), errors="strict", max_num_fields=32)
    except ValueError as error:
        raise ApiError(MALFORMED, "the provider's response cannot be parsed: begin again") from error
    answer = dict(pairs)
    if len(answer) < len(pairs):
        raise ApiError(MALFORMED, "a parameter of the provider's response is given twice: begin again")
    return answer


def _redirect(request: HttpRequest, url: str, cookie: tuple[bytes, bytes]) -> HttpResponse:
    headers = ((b"location", url.encode("ascii")), (b"referrer-policy", b"no-referrer"), cookie)
    return content_response(request.request_id, b"", b"text/plain", status=303, headers=headers)


def _refused(request: HttpRequest, problem: ProblemDetails, query: str) -> HttpResponse:
    """A page for a browser, else the API's error."""
    response = problem_response(problem, request.request_id)
    if "text/html" not in request.headers.get("accept", ""):
        return response
    kept = [(name, value) for name, value in response.headers if name in {b"retry-after", b"allow"}]
    body = refusal_page(problem.detail, query)
    return content_response(
        request.request_id,
        body,
        b"text/html; charset=utf-8",
        status=response.status,
        headers=(*SECURITY, *kept),
    )

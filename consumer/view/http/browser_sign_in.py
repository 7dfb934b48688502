"""How the view's page learns whether somebody can sign in with a provider. It knows no provider."""

from __future__ import annotations

import json
from typing import Any, Final, Protocol

from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.http.response import HttpResponse, content_response

SESSION_ROUTE: Final = "/session"
START_ROUTE: Final = "/oidc/start"
CALLBACK_ROUTE: Final = "/oidc/callback"
ROUTES: Final = (SESSION_ROUTE, START_ROUTE, CALLBACK_ROUTE)


class BrowserSignIn(Protocol):
    """The sign-in of browsers; the authenticator of its sessions is among those of the view."""

    async def respond(self, route: str, request: HttpRequest) -> HttpResponse:
        """The response to a request for one of ROUTES.

        Raises:
            ApiError: the response is this error.
        """
        ...

    def close(self) -> None:
        """Close what it has open. Requests in progress may fail."""
        ...


class NoProvider:
    """The sign-in of a view without a provider: the page shows no button."""

    async def respond(self, route: str, request: HttpRequest) -> HttpResponse:
        """See `BrowserSignIn`."""
        if route != SESSION_ROUTE:
            raise request.not_found()
        request.require_method("GET", "HEAD")
        return session_response(request, None, None)

    def close(self) -> None:
        """See `BrowserSignIn`."""


def session_response(
    request: HttpRequest,
    provider_name: str | None,
    session: dict[str, Any] | None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> HttpResponse:
    """The body of /session. provider_name: None where nobody can sign in with a provider; session: of this browser."""
    provider = None if provider_name is None else {"name": provider_name}
    body = json.dumps({"provider": provider, "session": session}).encode()
    return content_response(request.request_id, body, headers=headers)

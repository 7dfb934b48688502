"""What a browser does in a sign-in, without one: it keeps cookies, signs in at the provider and follows redirects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlsplit

import urllib3

from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.http.request import HttpRequest
from taskstream.schemas.http.response import HttpResponse, problem_response

Respond = Callable[[str, HttpRequest], Awaitable[HttpResponse]]


class Visitor:
    """Someone at `respond`, a `BrowserSignIn`'s method, with the cookies of one browser."""

    def __init__(self, respond: Respond, address: str = "10.0.0.1") -> None:
        self._respond = respond
        self.address = address
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []

    def request(self, method: str, path: str, query: str = "", **headers: str) -> HttpRequest:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        encoded = [(name.encode(), value.encode()) for name, value in sent.items()]
        return HttpRequest(method, path.encode(), query.encode(), encoded, address=self.address)

    async def visit(self, path: str, query: str = "", method: str = "GET", **headers: str) -> HttpResponse:
        request = self.request(method, path, query, **headers)
        try:
            response = await self._respond(path, request)
        except ApiError as error:
            response = problem_response(error.problem, request.request_id)
        for name, value in response.headers:
            if name == b"set-cookie":
                self.set_cookies.append(value.decode())
                cookie, _, attributes = value.decode().partition(";")
                key, _, content = cookie.partition("=")
                if "Max-Age=0;" in attributes:
                    self.cookies.pop(key, None)
                else:
                    self.cookies[key] = content
        return response

    async def begin(self, to: str = "") -> str:
        """Where the provider's page is."""
        response = await self.visit("/oidc/start", to and f"to={to}")
        assert response.status == 303, response.body
        return header(response, "location")

    async def end(self, callback: str) -> HttpResponse:
        return await self.visit("/oidc/callback", urlsplit(callback).query)

    async def sign_in(self, name: str, to: str = "") -> HttpResponse:
        return await self.end(consent(await self.begin(to), name))


def consent(page: str, name: str = "", *, deny: bool = False) -> str:
    """Fill in the provider's page; the URL of the callback to which it redirects."""
    fields = {"deny": "yes"} if deny else {"sub": name}
    answer = urllib3.request("POST", page, fields=fields, redirect=False, timeout=120, retries=False)
    assert answer.status == 302, (answer.status, answer.data)
    return answer.headers["Location"]


def header(response: HttpResponse, name: str) -> str:
    return dict(response.headers)[name.encode()].decode()


def parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))

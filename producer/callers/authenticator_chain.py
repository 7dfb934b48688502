"""Several authenticators in sequence: the first that knows the credentials decides. It knows no kind of credential."""

from __future__ import annotations

from collections.abc import Sequence

from taskstream.producer.callers.token_file import TokenFile
from taskstream.schemas.http.caller import Authenticator, Caller
from taskstream.schemas.http.request import HttpRequest


class AuthenticatorChain:
    """An Authenticator that asks several in sequence."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)
        self._token_files = [each for each in authenticators if isinstance(each, TokenFile)]

    async def authenticate(self, request: HttpRequest, body: bytes, /) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        for authenticator in self._authenticators:
            caller = await authenticator.authenticate(request, body)
            if caller is not None:
                return caller
        return None

    def known(self, token: bytes) -> Caller | None:
        """The caller of this token, if a token file has it; after None, `authenticate` may still find the caller."""
        for each in self._token_files:
            caller = each.known(token)
            if caller is not None:
                return caller
        return None

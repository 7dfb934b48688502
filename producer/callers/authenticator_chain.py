"""Several authenticators in sequence: the first that knows the credentials decides. It knows no kind of credential."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from taskstream.producer.callers.keystone import KeystoneTokens
from taskstream.producer.callers.signature import SignatureKeys, SignedCaller
from taskstream.producer.callers.signed_head import ALGORITHM, SignedHead
from taskstream.producer.callers.token_file import TokenFile
from taskstream.schemas.http.caller import Authenticator, Caller
from taskstream.schemas.http.request import HttpRequest

_SIGNED: Final = ALGORITHM.encode()


class AuthenticatorChain:
    """An Authenticator that asks several in sequence."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)
        first = next(iter(authenticators), None)
        self._keys = first if isinstance(first, SignatureKeys) else None
        self._known = [each for each in authenticators if isinstance(each, TokenFile | KeystoneTokens)]

    async def authenticate(self, request: HttpRequest, body: bytes, /) -> Caller | None:
        """See `taskstream.schemas.http.caller.Authenticator`."""
        for authenticator in self._authenticators:
            caller = await authenticator.authenticate(request, body)
            if caller is not None:
                return caller
        return None

    def known(self, token: bytes) -> Caller | None:
        """The caller of this token of a request without Authorization, if it is found without waiting.

        After None, `authenticate` may still find the caller.
        """
        for each in self._known:
            caller = each.known(token)
            if caller is not None:
                return caller
        return None

    def is_signed(self, authorization: bytes) -> bool:
        """Whether `signed` finds the caller of a request with this Authorization, as `authenticate` would."""
        return self._keys is not None and authorization.startswith(_SIGNED)

    def signed(self, request: HttpRequest, body: bytes, head: SignedHead | None) -> SignedCaller | None:
        """See `SignatureKeys.signed`."""
        return self._keys.signed(request, body, head) if self._keys is not None else None

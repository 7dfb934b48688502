"""Several authenticators in a row: the first that knows the credentials answers. It knows no kind of credential."""

from __future__ import annotations

from collections.abc import Sequence

from taskstream.producer.callers.token_file import TokenFile
from taskstream.schemas.http.api_error import FORBIDDEN, UNAUTHENTICATED, ApiError
from taskstream.schemas.http.caller import Authenticator, Caller, CallerRequest, Role


class AuthenticatorChain:
    """Asks each authenticator in turn."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)
        self._token_files = [each for each in authenticators if isinstance(each, TokenFile)]

    async def authenticate(self, request: CallerRequest) -> Caller:
        """The caller.

        Raises:
            ApiError: 401 if nobody knows the credentials, or what an authenticator raised.
        """
        for authenticator in self._authenticators:
            caller = await authenticator.authenticate(request)
            if caller is not None:
                return caller
        raise ApiError(UNAUTHENTICATED, "no valid credentials; send a token in X-Auth-Token")

    def known(self, token: bytes) -> Caller | None:
        """The caller of this token, if a file has it; None leaves the question to `authenticate`."""
        for each in self._token_files:
            caller = each.known(token)
            if caller is not None:
                return caller
        return None


def demand(caller: Caller, role: Role) -> None:
    """Let the caller pass who has the role.

    Raises:
        ApiError: 403.
    """
    if not caller.may(role):
        raise ApiError(FORBIDDEN, f"these credentials do not carry the role {role.value!r}")

"""Builds the sign-in with an OpenID Connect provider from its settings. It needs the extra `oidc`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from taskstream.consumer.errors import ProviderUnavailable
from taskstream.consumer.view.http.browser_sign_in import CALLBACK_ROUTE
from taskstream.consumer.view.oidc.provider import OidcProvider, ProviderSettings
from taskstream.consumer.view.oidc.role_claims import RoleClaims
from taskstream.consumer.view.oidc.sign_in import SESSION_S, OidcSignIn, SignInSettings
from taskstream.producer.callers.credentials_file import require_private
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Caller

_log = structlog.get_logger("taskstream.oidc")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """A provider, the view as its client, and the roles that it gives."""

    issuer: str
    client_id: str
    public_url: str
    """The view, as browsers see it."""
    roles: RoleClaims
    name: str
    """The provider's, on the page's button."""
    secret_file: Path | None = None
    """Has the client's secret; None: the client has none."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    session_s: float = SESSION_S
    ca_file: Path | None = None


def build_sign_in(settings: OidcSettings, now_us: Callable[[], int], *, behind_proxy: bool) -> OidcSignIn:
    """The sign-in; nothing is sent to the provider yet, so that a view starts without it.

    behind_proxy: all clients have the proxy's address, so no limit per address applies.

    Raises:
        CredentialsUnusable: the file with the secret cannot be used.
    """
    file = settings.secret_file
    if file is not None:
        _secret_in(file)

    def secret() -> str:
        """Of now: the file can be replaced."""
        try:
            return "" if file is None else _secret_in(file)
        except CredentialsUnusable as error:
            raise ProviderUnavailable(f"this view cannot read its client secret: {error}") from error

    def now_s() -> float:
        return now_us() / 1_000_000

    provider = ProviderSettings(
        issuer=settings.issuer,
        client_id=settings.client_id,
        redirect_url=settings.public_url.rstrip("/") + CALLBACK_ROUTE,
        secret=secret,
        scopes=settings.scopes,
        ca_file=None if settings.ca_file is None else str(settings.ca_file),
    )
    sign_in = SignInSettings(
        provider_name=settings.name,
        public_url=settings.public_url,
        roles=settings.roles,
        session_s=settings.session_s,
        limit_per_source=not behind_proxy,
    )
    return OidcSignIn(OidcProvider(provider, now_s), sign_in, now_s, _log_signed_in, _log_problem)


def _secret_in(file: Path) -> str:
    try:
        require_private(file, file.stat())
        secret = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CredentialsUnusable(f"{file} cannot be read ({why}): it must have the client's secret") from error
    if not secret or not secret.isascii() or not secret.isprintable():
        raise CredentialsUnusable(f"{file} must have the client's secret and nothing else: printable ASCII, one line")
    return secret


def _log_signed_in(caller: Caller) -> None:
    _log.info(
        "signed_in", person=caller.name, project=caller.project_id, roles=sorted(each.value for each in caller.roles)
    )


def _log_problem(problem: str) -> None:
    _log.warning("sign_in_failed", problem=problem)

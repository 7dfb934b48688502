"""The options of a server in which people sign in with an OpenID Connect provider."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from taskstream.compose.cli.extra_modules import server_module
from taskstream.compose.cli.options.sizes_and_durations import Seconds
from taskstream.consumer.view.http.browser_sign_in import CALLBACK_ROUTE
from taskstream.consumer.view.oidc.role_claims import OPERATORS, RoleClaims, RoleGrant
from taskstream.consumer.view.oidc.web_address import is_secure_address, is_web_address
from taskstream.producer.callers.token_file import project_id
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Role
from taskstream.schemas.http.loopback import is_loopback

if TYPE_CHECKING:
    from taskstream.compose.server.oidc import OidcSettings

Command = TypeVar("Command", bound=Callable[..., Any])
_FORM: Final = "write VALUE=operate, VALUE=operate:PROJECT or VALUE=read:PROJECT"
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_SCOPES: Final = ("openid", "profile", "email")


class RoleGrantType(click.ParamType[RoleGrant]):
    """A value of the claim, and the role and project that it gives."""

    name = "grant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RoleGrant:
        """See `click.ParamType`. The last = ends the value, which may have others, as names in a directory do."""
        if isinstance(value, RoleGrant):
            return value
        claimed, _, grant = str(value).rpartition("=")
        role, _, project = grant.partition(":")
        if not claimed or role not in {Role.OPERATE, Role.READ} or (role == Role.READ and not project):
            self.fail(f"{value!r} gives no role: {_FORM}", param, ctx)
        try:
            return RoleGrant(claimed, Role(role), project_id(project or OPERATORS, "PROJECT"))
        except CredentialsUnusable as error:
            self.fail(str(error), param, ctx)


_OPTIONS: Final = (
    click.option(
        "--oidc-issuer",
        metavar="URL",
        help="Let people sign in on the page with the OpenID Connect provider of this issuer, beside tokens. It needs "
        "the extra oidc: pip install 'taskstream[oidc]'.",
    ),
    click.option("--oidc-client-id", metavar="ID", help="The view's client id at the provider."),
    click.option(
        "--oidc-client-secret-file",
        type=_FILE,
        help="A file with the client's secret, read anew for each sign-in. Without it the client is a public one (PKCE "
        "is used in any case).",
    ),
    click.option(
        "--oidc-role",
        type=RoleGrantType(),
        multiple=True,
        metavar="VALUE=ROLE[:PROJECT]",
        help="The role of people whose claim has this value: admins=operate sees all projects, team-a=read:PROJECT "
        "one. Once for each value; another value gives no role.",
    ),
    click.option(
        "--oidc-claim",
        default="groups",
        help="The claim of the ID token with a person's groups; in a nested one a path such as realm_access.roles.",
    ),
    click.option(
        "--oidc-scope",
        multiple=True,
        help=f"A scope to ask for beside {', '.join(_SCOPES)}, such as groups; once for each.",
    ),
    click.option("--oidc-name", help="The provider's name on the page's button.  [default: the issuer's host]"),
    click.option(
        "--oidc-session",
        default="8h",
        type=Seconds(60),
        help="How long somebody stays signed in. Sessions are in memory: they end with the view.",
    ),
    click.option(
        "--oidc-ca-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="The only certificate authority to trust at the provider, in PEM.",
    ),
    click.option(
        "--public-url",
        metavar="URL",
        help=f"The view as browsers see it; the provider must allow URL{CALLBACK_ROUTE} as a redirect URI.  [default: "
        "the address that a view on loopback with a --port listens on]",
    ),
)


def oidc_options(command: Command) -> Command:
    """Give the command `oidc: OidcSettings | None`; the command has the options --host, --port and those of TLS."""

    @wraps(command)
    def with_oidc(
        *args: Any,
        oidc_issuer: str | None,
        oidc_client_id: str | None,
        oidc_client_secret_file: Path | None,
        oidc_role: tuple[RoleGrant, ...],
        oidc_claim: str,
        oidc_scope: tuple[str, ...],
        oidc_name: str | None,
        oidc_session: float,
        oidc_ca_file: Path | None,
        public_url: str | None,
        **kwargs: Any,
    ) -> Any:
        if oidc_issuer is None:
            given = (oidc_client_id, oidc_client_secret_file, *oidc_role)
            if any(each is not None for each in given):
                raise click.UsageError("--oidc-client-id, --oidc-client-secret-file and --oidc-role need --oidc-issuer")
            return command(*args, oidc=None, **kwargs)
        if not is_web_address(oidc_issuer) or not is_secure_address(oidc_issuer):
            raise click.UsageError(
                f"--oidc-issuer must be an https URL (http only on this machine) without a query, not {oidc_issuer!r}"
            )
        if not oidc_client_id or not oidc_role:
            raise click.UsageError(
                "--oidc-issuer needs --oidc-client-id, and --oidc-role at least once: without it nobody has a role"
            )
        settings = _settings_type()(
            issuer=oidc_issuer,
            client_id=oidc_client_id,
            public_url=_public_url(public_url, kwargs["host"], kwargs["port"], is_tls=kwargs["tls"] is not None),
            roles=RoleClaims(oidc_claim, oidc_role),
            name=oidc_name or urlsplit(oidc_issuer).hostname or oidc_issuer,
            secret_file=oidc_client_secret_file,
            scopes=tuple(dict.fromkeys((*_SCOPES, *oidc_scope))),
            session_s=oidc_session,
            ca_file=oidc_ca_file,
        )
        return command(*args, oidc=settings, **kwargs)

    decorated: Any = with_oidc
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added


def _settings_type() -> type[OidcSettings]:
    found: type[OidcSettings] = server_module("oidc", "--oidc-issuer", "oidc").OidcSettings
    return found


def _public_url(given: str | None, host: str, port: int, *, is_tls: bool) -> str:
    if given is not None:
        if not is_web_address(given):
            raise click.UsageError(f"--public-url must be an http or https URL without a query, not {given!r}")
        return given.rstrip("/")
    if not is_loopback(host) or port == 0:
        raise click.UsageError(
            "--oidc-issuer needs --public-url, the view as browsers see it: the provider sends them back there"
        )
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

"""Builds the authenticators of the edge and of the view from their settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from taskstream.compose.errors import NoCredentialsConfigured
from taskstream.producer.callers.allow_any import AllowAny
from taskstream.producer.callers.authenticator_chain import AuthenticatorChain
from taskstream.producer.callers.identity_service import IdentityService
from taskstream.producer.callers.keystone import KeystoneTokens
from taskstream.producer.callers.keystone_settings import read_keystone_settings
from taskstream.producer.callers.signature import SignatureKeys
from taskstream.producer.callers.token_file import TokenFile
from taskstream.producer.callers.validation_rooms import PER_SOURCE
from taskstream.schemas.http.caller import Authenticator

_log = structlog.get_logger("taskstream.callers")


@dataclass(frozen=True, slots=True)
class CallerSettings:
    """Which kinds of credentials are accepted; at least one."""

    tokens: Path | None = None
    keys: Path | None = None
    keystone: Path | None = None
    insecure_open: bool = False
    behind_proxy: bool = False
    """All clients come from the proxy's address, so no limit per address applies."""


def build_callers(settings: CallerSettings, *further: Authenticator) -> AuthenticatorChain:
    """The authenticators, the cheapest first. further: those that the settings do not name; they are asked first.

    Raises:
        CredentialsUnusable: a file cannot be used.
        NoCredentialsConfigured: no kind of credentials is configured.
    """
    authenticators: list[Authenticator] = [*further]
    if settings.keys is not None:
        keys = SignatureKeys(settings.keys, _log_problem)
        keys.load()
        authenticators.append(keys)
    if settings.tokens is not None:
        tokens = TokenFile(settings.tokens, _log_problem)
        tokens.load()
        authenticators.append(tokens)
    if settings.keystone is not None:
        service = read_keystone_settings(settings.keystone)
        per_source = 0 if settings.behind_proxy else PER_SOURCE
        identity = IdentityService(service)
        authenticators.append(
            KeystoneTokens(
                identity, service.roles, service.cache_s, response_s=service.response_s, per_source=per_source
            )
        )
    if settings.insecure_open:
        _log.warning("insecure_open", meaning="ANY token is accepted, for the project 'default', with every role")
        authenticators.append(AllowAny())
    if not authenticators:
        raise NoCredentialsConfigured(
            "no credentials are configured: set a token file, a file of access keys, or a Keystone service"
        )
    return AuthenticatorChain(authenticators)


def _log_problem(problem: str) -> None:
    _log.warning("credentials_unreadable", problem=problem)

"""Puts together who may call, for the edge and the view alike."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import structlog

from taskstream.producer.callers.allow_any import AllowAny
from taskstream.producer.callers.authenticator_chain import AuthenticatorChain
from taskstream.producer.callers.identity_service import IdentityService
from taskstream.producer.callers.keystone import KeystoneTokens
from taskstream.producer.callers.keystone_settings import read_keystone_settings
from taskstream.producer.callers.signature import SignatureKeys
from taskstream.producer.callers.token_file import TokenFile
from taskstream.producer.errors import CredentialsUnusable
from taskstream.schemas.http.caller import Authenticator

_log = structlog.get_logger("taskstream.callers")


@dataclass(frozen=True, slots=True)
class CallerSettings:
    """Which credentials are listened to; several may be given."""

    tokens: Path | None = None
    keys: Path | None = None
    keystone: Path | None = None
    insecure_open: bool = False


def build_callers(settings: CallerSettings) -> AuthenticatorChain:
    """The authenticators, the cheapest first.

    Raises:
        CredentialsUnusable: a file cannot be used, or no kind of credential is given.
    """
    row: list[Authenticator] = []
    if settings.keys is not None:
        keys = SignatureKeys(settings.keys, _told)
        keys.load()
        row.append(keys)
    if settings.tokens is not None:
        tokens = TokenFile(settings.tokens, _told)
        tokens.load()
        row.append(tokens)
    if settings.keystone is not None:
        service = read_keystone_settings(settings.keystone)
        row.append(KeystoneTokens(IdentityService(service), service.roles, service.cache_s))
    if settings.insecure_open:
        _log.warning("insecure_open", meaning="ANY token is taken, for the project 'default', with every role")
        row.append(AllowAny())
    if not row:
        raise CredentialsUnusable("nobody may call: give --tokens, --keys or --keystone")
    return AuthenticatorChain(row)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _told(problem: str) -> None:
    _log.warning("credentials_unreadable", problem=problem)

"""A Confluent-compatible schema registry: what may be asked of it, each question within a bounded time.

It knows no topics and remembers nothing; only `register` ever writes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from confluent_kafka.schema_registry import Schema as Submitted
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError

from taskstream.schemas.catalog import Schema
from taskstream.schemas.errors import RegistryFailed

T = TypeVar("T")

REQUEST_TIMEOUT_S = 5.0
RETRIES = 2
RETRY_WAIT_MS = 200
"""At most, before the first retry; twice as much before the second."""
_SHOWN_CHARACTERS = 300
_REMEDIES = {
    401: ": give user and password in its address, https://USER:PASSWORD@HOST",
    403: ": this user may not do that",
    404: ": is this the address of a schema registry?",
    409: ": `taskstream schemas check` tells which versions it does not fit",
}
# The client speaks through httpx or its successor, whichever it has found, and lets that one's errors out.
_HTTP_ERRORS: tuple[type[Exception], ...] = tuple(
    sys.modules[name].HTTPError for name in ("httpx2", "httpx") if name in sys.modules
)


class Registry:
    """One registry, or several of one cluster with commas between. All that it does may raise RegistryFailed."""

    def __init__(self, url: str, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self.url, credentials = _without_credentials(url)
        """Fit to be shown."""
        settings = {
            "url": self.url,
            "timeout": timeout_s,
            "max.retries": RETRIES,
            "retries.wait.ms": RETRY_WAIT_MS,
        }
        self._client = SchemaRegistryClient(settings | credentials)

    def find(self, subject: str, schema: Schema) -> int | None:
        """The schema's id; None if it is not registered under the subject."""
        what = f"looking up {schema.title} under {subject}"
        return self._ask(what, lambda: _id(self._client.lookup_schema(subject, Submitted(schema.text)).schema_id))

    def fetch(self, schema_id: int) -> str | None:
        """The Avro JSON that an id means; None if none has this id, or what has it is no Avro."""
        found = self._ask(f"asking for schema {schema_id}", lambda: self._client.get_schema(schema_id))
        return found.schema_str if found and found.schema_type in (None, "AVRO") else None

    def register(self, subject: str, schema: Schema) -> int | None:
        """Register it if it is not; its id. A registry that holds it incompatible refuses."""
        what = f"registering {schema.title} under {subject}"
        return self._ask(what, lambda: _id(self._client.register_schema(subject, Submitted(schema.text))))

    def versions(self, subject: str) -> list[int]:
        """The versions registered under a subject; none if there is no such subject."""
        return self._ask(f"asking for the versions of {subject}", lambda: self._client.get_versions(subject)) or []

    def accepts(self, subject: str, schema: Schema, version: int) -> bool:
        """Whether it holds the schema compatible with one registered version, in the way that `level` tells."""
        what = f"comparing {schema.title} with version {version} of {subject}"
        return bool(self._ask(what, lambda: self._client.test_compatibility(subject, Submitted(schema.text), version)))

    def level(self, subject: str) -> str | None:
        """The compatibility that it asks of a subject, such as BACKWARD."""
        what = f"asking for the compatibility level of {subject}"
        own = self._ask(what, lambda: self._client.get_compatibility(subject))
        return own or self._ask(what, self._client.get_compatibility)

    def _ask(self, what: str, question: Callable[[], T]) -> T | None:
        """The answer; None if the registry says that there is no such thing."""
        try:
            return question()
        except SchemaRegistryError as error:
            # Another server's 404 has no code of a registry's.
            if error.http_status_code == 404 and str(error.error_code).startswith("404"):
                return None
            said = f"{error.http_status_code} {str(error.error_message)[:_SHOWN_CHARACTERS]}"
            remedy = _REMEDIES.get(error.http_status_code, "")
            raise RegistryFailed(f"{what}: {self.url} answered {said}{remedy}") from error
        except _HTTP_ERRORS as error:
            said = f"{type(error).__name__} {error}".strip()
            raise RegistryFailed(
                f"{what}: {self.url} did not answer ({said}): does a registry listen there?"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # what the client makes of strange answers
            raise RegistryFailed(f"{what}: {self.url} does not answer as a schema registry does: is it one?") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, trace)  # type: ignore[no-untyped-call] # `close` is younger than our bound


def _without_credentials(urls: str) -> tuple[str, dict[str, str]]:
    """The address fit to be shown, and the client's setting for what was taken out of it."""
    shown: list[str] = []
    credentials: dict[str, str] = {}
    for url in urls.split(","):
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryFailed("the address of the schema registry should be http://HOST:PORT or https://HOST:PORT")
        if parts.username is not None:
            credentials = {"basic.auth.user.info": f"{unquote(parts.username)}:{unquote(parts.password or '')}"}
        shown.append(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/"))
    return ",".join(shown), credentials


def _id(found: object) -> int:
    if isinstance(found, int):
        return found
    raise TypeError(f"{found!r} is no schema id")

"""The client of a Confluent-compatible schema registry. Every request has a timeout and a bounded number of retries.

It knows no topics and caches nothing; only `register` and `set_compatibility_level` write.
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
"""The longest wait before the first retry; it doubles with each retry."""
_SHOWN_CHARACTERS = 300
_REMEDIES = {
    401: ": give user and password in its address, https://USER:PASSWORD@HOST",
    403: ": this user lacks the permission",
    404: ": is this the address of a schema registry?",
    409: ": `taskstream schemas check` lists the versions that it is incompatible with",
}
# confluent-kafka's client uses httpx or httpx2, whichever is installed, and lets their errors through.
_HTTP_ERRORS: tuple[type[Exception], ...] = tuple(
    sys.modules[name].HTTPError for name in ("httpx2", "httpx") if name in sys.modules
)


class Registry:
    """One registry. `url` may list several nodes of one cluster, separated by commas.

    Every method, and the constructor for an invalid `url`, raises RegistryFailed.
    """

    def __init__(self, url: str, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self.url, credentials = _without_credentials(url)
        """Without user and password."""
        settings = {
            "url": self.url,
            "timeout": timeout_s,
            "max.retries": RETRIES,
            "retries.wait.ms": RETRY_WAIT_MS,
        }
        self._client = SchemaRegistryClient(settings | credentials)

    def find_id(self, subject: str, schema: Schema) -> int | None:
        """The schema's id; None if the schema is not registered under the subject."""
        what = f"looking up {schema.title} under {subject}"
        return self._call(what, lambda: _id(self._client.lookup_schema(subject, Submitted(schema.text)).schema_id))

    def fetch_schema(self, schema_id: int) -> str | None:
        """The Avro JSON of the schema with this id; None if no schema has the id, or the schema is not Avro."""
        found = self._call(f"fetching schema {schema_id}", lambda: self._client.get_schema(schema_id))
        return found.schema_str if found and found.schema_type in (None, "AVRO") else None

    def register(self, subject: str, schema: Schema) -> int | None:
        """Register the schema unless it is registered already, and return its id.

        The registry refuses a schema that is incompatible with the subject's versions.
        """
        what = f"registering {schema.title} under {subject}"
        return self._call(what, lambda: _id(self._client.register_schema(subject, Submitted(schema.text))))

    def versions(self, subject: str) -> list[int]:
        """The versions registered under a subject; empty if there is no such subject."""
        return self._call(f"listing the versions of {subject}", lambda: self._client.get_versions(subject)) or []

    def is_compatible(self, subject: str, schema: Schema, version: int) -> bool:
        """Whether the schema is compatible with one registered version, by the subject's compatibility level."""
        what = f"comparing {schema.title} with version {version} of {subject}"
        return bool(self._call(what, lambda: self._client.test_compatibility(subject, Submitted(schema.text), version)))

    def compatibility_level(self, subject: str) -> str | None:
        """The subject's compatibility level, such as BACKWARD; the registry's default if the subject has none."""
        what = f"fetching the compatibility level of {subject}"
        own = self._call(what, lambda: self._client.get_compatibility(subject))
        return own or self._call(what, self._client.get_compatibility)

    def set_compatibility_level(self, subject: str, level: str) -> None:
        """Set the subject's compatibility level, such as FULL_TRANSITIVE."""
        what = f"setting the compatibility level of {subject}"
        self._call(what, lambda: self._client.set_compatibility(subject, level))

    def _call(self, what: str, request: Callable[[], T]) -> T | None:
        """The response; None if the registry answers that the subject, version or schema does not exist."""
        try:
            return request()
        except SchemaRegistryError as error:
            # A registry's 404 has an error_code such as 40401; another server's 404 has none.
            if error.http_status_code == 404 and str(error.error_code).startswith("404"):
                return None
            response = f"{error.http_status_code} {str(error.error_message)[:_SHOWN_CHARACTERS]}"
            remedy = _REMEDIES.get(error.http_status_code, "")
            raise RegistryFailed(f"{what}: {self.url} answered {response}{remedy}") from error
        except _HTTP_ERRORS as error:
            cause = f"{type(error).__name__} {error}".strip()
            raise RegistryFailed(
                f"{what}: {self.url} did not answer ({cause}): does a registry listen there?"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # raised by the client for other bodies
            raise RegistryFailed(f"{what}: {self.url} does not answer as a schema registry does: is it one?") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, trace)  # type: ignore[no-untyped-call] # `close` came in a later release


def _without_credentials(urls: str) -> tuple[str, dict[str, str]]:
    """The addresses without user and password, and the client's setting with the user and password."""
    shown: list[str] = []
    credentials: dict[str, str] = {}
    for url in urls.split(","):
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryFailed("the address of the schema registry is not http://HOST:PORT or https://HOST:PORT")
        if parts.username is not None:
            credentials = {"basic.auth.user.info": f"{unquote(parts.username)}:{unquote(parts.password or '')}"}
        shown.append(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/"))
    return ",".join(shown), credentials


def _id(found: object) -> int:
    if isinstance(found, int):
        return found
    raise TypeError(f"{found!r} is not a schema id")

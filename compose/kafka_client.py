"""How a Kafka client is configured: librdkafka's own properties, from `-X key=value` and from a file.

It knows the names that carry secrets, and lets no such value out in a repr; it opens no connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from taskstream.compose.errors import KafkaPropertyError, NoBrokersNamed

HIDDEN = "[hidden]"
BOOTSTRAP = "bootstrap.servers"
# Names that may carry a secret, rather too many than too few: what is hidden by mistake can be looked up in the file.
_SECRET_NAME = re.compile(r"password|passphrase|secret|token|jaas|private|oauthbearer\.config|\.pem$")
_SECRET_VALUE = re.compile(r"//[^/@\s]*:[^/@\s]*@")


@dataclass(frozen=True, repr=False)
class KafkaClient:
    """Where Kafka is and how to speak to it: what every producer, consumer and admin client is made from."""

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict)

    def config(self, **overrides: Any) -> dict[str, Any]:
        """The settings of one client: what the operator set, and above it what the caller must have.

        What the operator may tune goes beneath: `{"linger.ms": 5} | client.config(**{"acks": "all"})`.
        """
        return {**self.properties, BOOTSTRAP: self.bootstrap_servers, **overrides}

    def __repr__(self) -> str:
        return f"KafkaClient({self.bootstrap_servers!r}, {redacted(self.properties)!r})"


def redacted(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, fit to be printed and logged."""
    return {name: HIDDEN if is_secret(name, value) else value for name, value in properties.items()}


def is_secret(name: str, value: object = "") -> bool:
    """Whether a setting must not be shown: by its name, or because its value is an address with a password."""
    return bool(_SECRET_NAME.search(name.lower()) or _SECRET_VALUE.search(str(value)))


def parse_assignments(assignments: Iterable[str], source: str = "-X") -> dict[str, str]:
    """`key=value` strings as settings; the last one of a name wins. Raises KafkaPropertyError."""
    properties = {}
    for number, assignment in enumerate(assignments, 1):
        name, equals, value = assignment.partition("=")
        name = name.strip()
        if not equals or not name:
            shown = HIDDEN if is_secret(assignment, assignment) else repr(assignment)
            raise KafkaPropertyError(f"{source}, setting {number}: {shown} is not of the form key=value")
        properties[name] = _value_of(name, value.strip())
    return properties


def read_properties(path: Path) -> dict[str, str]:
    """Settings from a file: one key=value a line, `#` begins a comment line, values are taken as they stand.

    Only in the `*.pem` settings the two characters backslash and n stand for a new line. Raises KafkaPropertyError.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KafkaPropertyError(f"{path} cannot be read as a properties file: {error}") from error
    properties = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith(("#", "!")):
            properties.update(parse_assignments([line], f"{path}:{number}"))
    return properties


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Keep settings in a file that only its owner reads, in the form that `read_properties` reads back."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    lines = (f"{name}={value.replace(chr(10), chr(92) + 'n')}\n" for name, value in properties.items())
    path.write_text("".join(lines), encoding="utf-8")


def kafka_client(bootstrap_servers: str | None, properties: Mapping[str, str], *, required: bool = True) -> KafkaClient:
    """A client from settings that librdkafka agrees to. Raises KafkaPropertyError.

    Unless brokers are `required`, the client of none is one with empty `bootstrap_servers`.
    """
    servers = bootstrap_servers or properties.get(BOOTSTRAP, "")
    if required and not servers:
        raise NoBrokersNamed("no Kafka brokers are named")
    rest = {name: value for name, value in properties.items() if name != BOOTSTRAP}
    check_properties(rest)
    return KafkaClient(servers, MappingProxyType(rest))


def check_properties(properties: Mapping[str, str]) -> None:
    """Ask librdkafka whether it knows the settings and takes their values. Raises KafkaPropertyError."""
    try:
        AdminClient({**properties, "log_level": 0})  # without servers it connects to nothing
    except KafkaException as error:
        reason = error.args[0].str()
        if any(value and is_secret(name, value) and value in reason for name, value in properties.items()):
            reason = "a setting that holds a secret has a value that it does not take"
        raise KafkaPropertyError(f"librdkafka says: {reason}") from error


def _value_of(name: str, value: str) -> str:
    return value.replace("\\n", "\n") if name.endswith(".pem") else value

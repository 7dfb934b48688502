"""The configuration of Kafka clients: librdkafka properties from `key=value` strings and from a file.

It knows which properties hold secrets and redacts them in every repr and message. It opens no connection.
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
from taskstream.schemas.errors import cause_of

HIDDEN = "[hidden]"
BOOTSTRAP = "bootstrap.servers"
# Names that may hold a secret. Better too many than too few: a value that is hidden by mistake is still in the file.
_SECRET_NAME = re.compile(r"password|passphrase|secret|token|jaas|private|oauthbearer\.config|\.pem$")
_SECRET_VALUE = re.compile(r"//[^/@\s]*:[^/@\s]*@")


@dataclass(frozen=True, repr=False)
class KafkaClient:
    """The address of a Kafka cluster, and the properties common to all producers, consumers and admin clients."""

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict)

    def config(self, **overrides: Any) -> dict[str, Any]:
        """The properties of one client: the operator's, overridden by those that the caller requires.

        Defaults that the operator may override are merged below: `{"linger.ms": 5} | client.config(acks="all")`.
        """
        return {**self.properties, BOOTSTRAP: self.bootstrap_servers, **overrides}

    def __repr__(self) -> str:
        return f"KafkaClient({self.bootstrap_servers!r}, {redacted(self.properties)!r})"


def redacted(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with secrets replaced by HIDDEN, for output and logs."""
    return {name: HIDDEN if is_secret(name, value) else value for name, value in properties.items()}


def is_secret(name: str, value: object = "") -> bool:
    """Whether a property must not be shown: by its name, or because its value is a URL with a password."""
    return bool(_SECRET_NAME.search(name.lower()) or _SECRET_VALUE.search(str(value)))


def parse_assignments(assignments: Iterable[str], source: str = "-X") -> dict[str, str]:
    """Parse `key=value` strings; the last one of a name wins. `source` names their origin in messages.

    Raises:
        KafkaPropertyError: a string is not of the form key=value.
    """
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
    """Read properties from a file: one key=value per line; lines that begin with # or ! are comments.

    Values have no escapes, except that the two characters backslash and n are a newline in `*.pem` properties.

    Raises:
        KafkaPropertyError: the file cannot be read, or a line is not of the form key=value.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KafkaPropertyError(
            f"{path} cannot be read as a properties file ({cause_of(error)}): give the path of one with lines key=value"
        ) from error
    properties = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith(("#", "!")):
            properties.update(parse_assignments([line], f"{path}:{number}"))
    return properties


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Write properties to a file that only its owner can read, in the form that `read_properties` reads."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    lines = (f"{name}={value.replace(chr(10), chr(92) + 'n')}\n" for name, value in properties.items())
    path.write_text("".join(lines), encoding="utf-8")


def kafka_client(bootstrap_servers: str | None, properties: Mapping[str, str], *, required: bool = True) -> KafkaClient:
    """A client with properties that librdkafka accepts. `bootstrap_servers` overrides the property of that name.

    Without brokers, and unless they are `required`, the client's `bootstrap_servers` is "".

    Raises:
        KafkaPropertyError: librdkafka rejects a property; NoBrokersNamed if brokers are required and none are named.
    """
    servers = bootstrap_servers or properties.get(BOOTSTRAP, "")
    if required and not servers:
        raise NoBrokersNamed("no Kafka brokers are named")
    rest = {name: value for name, value in properties.items() if name != BOOTSTRAP}
    check_properties(rest)
    return KafkaClient(servers, MappingProxyType(rest))


def check_properties(properties: Mapping[str, str]) -> None:
    """Check that librdkafka knows the properties and accepts their values.

    Raises:
        KafkaPropertyError: it does not. The message shows no secret.
    """
    try:
        AdminClient({**properties, "log_level": 0})  # without bootstrap.servers it connects to nothing
    except KafkaException as error:
        reason = error.args[0].str()
        if any(value and is_secret(name, value) and value in reason for name, value in properties.items()):
            reason = "a setting that holds a secret has an invalid value"
        raise KafkaPropertyError(f"librdkafka rejects the settings: {reason}") from error


def _value_of(name: str, value: str) -> str:
    return value.replace("\\n", "\n") if name.endswith(".pem") else value

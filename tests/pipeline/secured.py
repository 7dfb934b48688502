"""A broker with an authorizer: its users have the rights that a test grants, and the test itself has all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from taskstream.compose.kafka_client import KafkaClient
from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.local.ports import free_ports
from taskstream.schemas.access import Grant
from tests.brokers import accept_later_timestamps
from tests.waiting import LIMIT_S, wait_until

USER = "User:someone"
_LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_someone="secret";'


def sentence(grant: Grant, name: str = "") -> str:
    """What a user without it is told; `name`: of the resource, where the grant has a prefix."""
    words = {"Read": "read", "Write": "write to", "Describe": "describe"}[grant.operation]
    what = f"the {grant.kind} {name or grant.name}"
    return f"{USER} may not {words} {what}: grant {USER} the operation {grant.operation} on it"


@dataclass(frozen=True, slots=True)
class SecuredBroker:
    """`everything` is a client with all rights; `someone` has the granted ones."""

    everything: KafkaClient
    someone: KafkaClient

    @property
    def options(self) -> list[str]:
        """Command-line options that make a command `someone`."""
        return [part for pair in self.someone.properties.items() for part in ("-X", "=".join(pair))]

    def grant(self, rights: Sequence[Grant]) -> None:
        if not rights:
            return
        admin = AdminClient(self.everything.config())
        wanted = [_binding(each) for each in rights]
        for answer in admin.create_acls(wanted).values():
            answer.result(LIMIT_S)
        wait_until(lambda: {*wanted} <= in_force(admin))

    def revoke(self, right: Grant) -> None:
        admin = AdminClient(self.everything.config())
        binding = _binding(right)
        given = (binding.restype, binding.name, binding.resource_pattern_type, binding.principal, binding.host)
        wanted = AclBindingFilter(*given, binding.operation, binding.permission_type)
        for answer in admin.delete_acls([wanted]).values():
            assert answer.result(LIMIT_S)
        wait_until(lambda: binding not in in_force(admin))


def in_force(admin: AdminClient) -> set[AclBinding]:
    """Those of `someone` that the broker has: it learns of a change after the controller has answered."""
    of_user = (ResourceType.ANY, None, ResourcePatternType.ANY, USER, None, AclOperation.ANY, AclPermissionType.ANY)
    return {*admin.describe_acls(AclBindingFilter(*of_user)).result(LIMIT_S)}


def _binding(right: Grant) -> AclBinding:
    kind = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "transactional id": ResourceType.TRANSACTIONAL_ID}
    operation = AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", right.operation).upper()]
    pattern = ResourcePatternType.PREFIXED if right.is_prefix else ResourcePatternType.LITERAL
    return AclBinding(kind[right.kind], right.name, pattern, USER, "*", operation, AclPermissionType.ALLOW)


@contextmanager
def secured_broker(folder: Path, cache_dir: Path) -> Iterator[SecuredBroker]:
    """The second listener has passwords; who comes by the first is a super user, as the broker itself is."""
    port, controller_port, second = free_ports(3)
    address = "127.0.0.1"
    listeners = f"PLAINTEXT://{address}:{port},CLIENTS://{address}:{second}"
    properties = {
        "listeners": f"{listeners},CONTROLLER://{address}:{controller_port}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CLIENTS:SASL_PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": _LOGIN,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with LocalKafka(
        folder, cache_dir=cache_dir, port=port, controller_port=controller_port, heap="512m", properties=properties
    ) as kafka:
        accept_later_timestamps(kafka.client)
        login = {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "someone",
            "sasl.password": "secret",
        }
        yield SecuredBroker(kafka.client, KafkaClient(f"{address}:{second}", login))

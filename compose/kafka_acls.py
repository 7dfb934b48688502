"""The rights of each part as an administrator grants them: kafka-acls commands, or KafkaUser resources of Strimzi."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from taskstream.schemas.access import Grant

_OPTIONS = {"topic": "--topic", "group": "--group", "transactional id": "--transactional-id"}
_STRIMZI = {"topic": "topic", "group": "group", "transactional id": "transactionalId"}
_TOOL = "kafka-acls.sh --bootstrap-server $BOOTSTRAP_SERVERS --command-config $ADMIN_CONFIG --add"


def acl_commands(prefix: str, grants: Mapping[str, Sequence[Grant]]) -> Iterator[str]:
    """The lines of a shell script: for each part a heading, and one command for each of its resources."""
    for part, wanted in grants.items():
        yield f"# {part}"
        for resource, same in groupby(sorted(wanted, key=_resource), _resource):
            kind, name, is_prefix, optional = resource
            pattern = " --resource-pattern-type prefixed" if is_prefix else ""
            operations = "".join(f" --operation {each.operation}" for each in same)
            line = f"{_TOOL} --allow-principal {shlex.quote(f'User:{prefix}-{part}')}"
            note = "  # optional" if optional else ""
            yield f"{line} {_OPTIONS[kind]} {shlex.quote(name)}{pattern}{operations}{note}"


def kafka_users(prefix: str, grants: Mapping[str, Sequence[Grant]]) -> str:
    """A YAML stream of KafkaUser resources, one for each part, for the cluster that the label names."""
    return "".join(_kafka_user(f"{prefix}-{part}", wanted) for part, wanted in grants.items())


def _kafka_user(name: str, grants: Sequence[Grant]) -> str:
    lines = [
        "---",
        "apiVersion: kafka.strimzi.io/v1beta2",
        "kind: KafkaUser",
        "metadata:",
        f"  name: {name}",
        "  labels: {strimzi.io/cluster: kafka}",
        "spec:",
        "  authentication: {type: tls}",
        "  authorization:",
        "    type: simple",
        "    acls:",
    ]
    for (kind, resource, is_prefix, optional), same in groupby(sorted(grants, key=_resource), _resource):
        pattern = "prefix" if is_prefix else "literal"
        operations = ", ".join(each.operation for each in same)
        place = f"{{type: {_STRIMZI[kind]}, name: {json.dumps(resource)}, patternType: {pattern}}}"
        note = " # optional" if optional else ""
        lines.append(f"      - {{resource: {place}, operations: [{operations}]}}{note}")
    return "\n".join(lines) + "\n"


def _resource(grant: Grant) -> tuple[str, str, bool, bool]:
    return grant.kind, grant.name, grant.is_prefix, grant.optional

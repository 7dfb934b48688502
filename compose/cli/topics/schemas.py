"""`taskstream schemas`: the released schemas, and whether a registry has them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from taskstream.compose.cli.options.registry_options import required_registry_option
from taskstream.compose.cli.options.topic_options import prefix_option, topics_options
from taskstream.compose.cli.output.formats import output_option, print_rows
from taskstream.compose.cli.output.terminal import echo, echo_json
from taskstream.compose.remedies import message_of
from taskstream.schemas.catalog import named, released
from taskstream.schemas.description.asyncapi import document
from taskstream.schemas.errors import UnknownSchema
from taskstream.schemas.ids import TableIds
from taskstream.schemas.registry.registration import RegistrationStatus, registration_statuses
from taskstream.schemas.registry.registration import register as register_schemas
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.topics import Topics


@click.group
def schemas() -> None:
    """The Avro schemas: list, show, check against a registry, register; the topics as AsyncAPI.

    The value of a record is a zero byte, the schema id in four bytes (big-endian), and the Avro encoding. The ids come
    from a built-in table, or from a registry named with --schema-registry.
    """


@schemas.command("list")
@prefix_option
@output_option
def list_schemas(prefix: str, output: str) -> None:
    """List the released schemas with their ids in the built-in table and their topics."""
    ids = TableIds()
    topics = {topic.value: topic.name for topic in Topics(prefix).all}
    rows = [
        {
            "schema": schema.title,
            "id": ids.id_of(schema),
            "topic": topics[schema.name],
            "fields": len(schema.definition["fields"]),
        }
        for schema in released()
    ]
    print_rows(rows, output)


@schemas.command
@click.argument("title")
def show(title: str) -> None:
    """Print the Avro schema TITLE, such as ProgressReported.v2, as JSON."""
    try:
        echo(named(title).text, nl=False)
    except UnknownSchema as error:
        raise click.UsageError(message_of(error)) from error


@schemas.command
@topics_options
def asyncapi(topics: Topics) -> None:
    """Print the topics with their keys, headers and values as an AsyncAPI 3.0.0 document in JSON."""
    echo_json(document(topics), indent=2)


@schemas.command
@required_registry_option
@prefix_option
@output_option
def register(schema_registry: str, prefix: str, output: str) -> None:
    """Register the released schemas that a registry does not have, each under the subject TOPIC-value of its topic.

    No other command registers schemas: the edge, the worker and the view only look them up.
    """
    with Registry(schema_registry) as registry:
        print_rows(_rows(register_schemas(registry, Topics(prefix))), output)


@schemas.command
@required_registry_option
@prefix_option
@output_option
def check(schema_registry: str, prefix: str, output: str) -> None:
    """Check whether a registry has the released schemas, or would accept them.

    A schema that is not registered is compared with every registered version of its subject, in the direction that
    the compatibility level of the subject requires. At the level NONE, every schema is accepted. A schema whose id
    belongs to another one in the built-in table is named: records that were written with the ids of the table cannot
    be read with those of the registry. `taskstream doctor` compares the ids of the records on the topics.

    Exit codes: 0 every schema is registered or acceptable, 1 one is incompatible or the registry does not respond,
    2 wrong usage.
    """
    with Registry(schema_registry) as registry:
        found = registration_statuses(registry, Topics(prefix))
    print_rows(_rows(found), output)
    if not all(each.accepted for each in found):
        click.get_current_context().exit(1)


def _rows(found: Sequence[RegistrationStatus]) -> list[dict[str, object]]:
    return [
        {
            "schema": each.title,
            "subject": each.subject,
            "id": each.id,
            "compatibility": each.level,
            "standing": _standing(each),
        }
        for each in found
    ]


def _standing(each: RegistrationStatus) -> str:
    if each.contradicts is not None:
        return (
            f"registered; id {each.id} is {each.contradicts} in the built-in table: use a new --prefix for the registry"
        )
    if each.id is not None:
        return "registered"
    if each.accepted:
        return "would be accepted"
    versions = ", ".join(map(str, each.incompatible_with))
    return f"incompatible with version {versions}: use a new --prefix, or change the registered schema"

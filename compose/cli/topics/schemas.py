"""`taskstream schemas`: the released schemas, and how they stand with a registry."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from taskstream.compose.cli.options.registry_option import required_registry_option
from taskstream.compose.cli.options.topic_options import prefix_option, topics_options
from taskstream.compose.cli.output.rows import output_option, print_rows
from taskstream.schemas.asyncapi import document
from taskstream.schemas.catalog import named, released
from taskstream.schemas.errors import UnknownSchema
from taskstream.schemas.ids import TableIds
from taskstream.schemas.registry.registration import Standing, standings
from taskstream.schemas.registry.registration import register as register_schemas
from taskstream.schemas.registry.registry_client import Registry
from taskstream.schemas.topics import Topics


@click.group
def schemas() -> None:
    """The Avro schemas: list, show, check against a registry, register; the topics as AsyncAPI.

    A value on a topic is a zero byte, the schema's id in four bytes (big-endian), and Avro. The ids are those of a
    table that comes with this program, or a registry's when one is named with --schema-registry.
    """


@schemas.command("list")
@prefix_option
@output_option
def list_schemas(prefix: str, output: str) -> None:
    """List the released schemas: their ids when no registry is used, and the topics whose values they are."""
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
    """Print the Avro JSON of the schema TITLE, such as ProgressReported.v2."""
    try:
        click.echo(named(title).text, nl=False)
    except UnknownSchema as error:
        raise click.UsageError(str(error)) from error


@schemas.command
@topics_options
def asyncapi(topics: Topics) -> None:
    """Print the topics, their keys, headers and values as an AsyncAPI 3.0.0 document (JSON, which is YAML too)."""
    click.echo(json.dumps(document(topics), indent=2, ensure_ascii=False))


@schemas.command
@required_registry_option
@prefix_option
@output_option
def register(schema_registry: str, prefix: str, output: str) -> None:
    """Register the released schemas that a registry does not have, each under its topic's subject TOPIC-value.

    Nothing else ever registers one: the edge, the worker and the view only look up.
    """
    with Registry(schema_registry) as registry:
        print_rows(_rows(register_schemas(registry, Topics(prefix))), output)


@schemas.command
@required_registry_option
@prefix_option
@output_option
def check(schema_registry: str, prefix: str, output: str) -> None:
    """Tell whether a registry has the released schemas, or would accept them.

    One that is not registered is compared with every registered version of its subject and not only with the last,
    in the direction that the subject's compatibility level asks for. At the level NONE every answer is yes.

    Exit code 1 when one would break a registered version.
    """
    with Registry(schema_registry) as registry:
        found = standings(registry, Topics(prefix))
    print_rows(_rows(found), output)
    if not all(each.accepted for each in found):
        click.get_current_context().exit(1)


def _rows(found: Sequence[Standing]) -> list[dict[str, object]]:
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


def _standing(each: Standing) -> str:
    if each.id is not None:
        return "registered"
    if each.accepted:
        return "would be accepted"
    versions = ", ".join(map(str, each.incompatible_with))
    return f"incompatible with version {versions}: a new --prefix, or a change of the registered one"

"""The option that names a schema registry, and the schema ids that follow from it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskstream.schemas.ids import SchemaIds, TableIds
from taskstream.schemas.topics import Topics

Command = TypeVar("Command", bound=Callable[..., Any])

_registry = functools.partial(
    click.option,
    "--schema-registry",
    metavar="URL",
    envvar="TASKSTREAM_SCHEMA_REGISTRY",
    help="A Confluent-compatible schema registry, http://HOST:PORT or https://USER:PASSWORD@HOST.",
)
required_registry_option = _registry(required=True)
registry_option = _registry(show_default="none: ids from the built-in table")


def schema_ids_option(command: Command) -> Command:
    """Give the command `ids: SchemaIds`: those of --schema-registry, or of the built-in table.

    Apply it above `prefix_option`, and accept `prefix` in the command: it determines the registry's subjects. The
    connection to the registry is closed when the command ends.
    """

    @functools.wraps(command)
    def with_ids(*args: Any, schema_registry: str | None, prefix: str, **kwargs: Any) -> Any:
        return command(*args, ids=_ids(schema_registry, Topics(prefix)), prefix=prefix, **kwargs)

    decorated: Any = registry_option(with_ids)
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added


def _ids(url: str | None, topics: Topics) -> SchemaIds:
    if url is None:
        return TableIds()
    from taskstream.schemas.registry.registry_client import Registry  # noqa: PLC0415 (half a second, needed with a registry alone)
    from taskstream.schemas.registry.registry_ids import RegistryIds  # noqa: PLC0415 (as above)

    return RegistryIds(click.get_current_context().with_resource(Registry(url)), topics)

"""The option that names a schema registry."""

from __future__ import annotations

import functools

import click

_registry = functools.partial(
    click.option,
    "--schema-registry",
    metavar="URL",
    envvar="TASKSTREAM_SCHEMA_REGISTRY",
    help="A Confluent-compatible schema registry, http://HOST:PORT or https://USER:PASSWORD@HOST.",
)
registry_option = _registry(show_default="none: the ids are those of the table beside the schemas")
required_registry_option = _registry(required=True)

"""--schema-registry: whose ids the edge, the worker and the view take."""

from __future__ import annotations

import click
from click.testing import CliRunner

from taskstream.compose.cli.options.registry_options import schema_ids_option
from taskstream.compose.cli.options.topic_options import prefix_option
from taskstream.schemas.catalog import newest
from taskstream.schemas.ids import SchemaIds
from tests.schemas.registry.registry_server import serving


@click.command
@schema_ids_option
@prefix_option
def tell(prefix: str, ids: SchemaIds) -> None:
    click.echo(f"{prefix} {ids.id_of(newest('SeriesState'))}")


def test_without_a_registry_the_ids_are_the_tables():
    assert CliRunner().invoke(tell).output == "taskstream 8\n"


def test_a_registry_is_asked_for_the_subjects_of_the_prefix():
    with serving() as server:
        number = server.add(newest("SeriesState").text, "fleet.state-value")
        result = CliRunner().invoke(tell, ["--schema-registry", server.url, "--prefix", "fleet"])

    assert result.output == f"fleet {number}\n"
    assert server.asked == [("POST", "/subjects/fleet.state-value")]


def test_the_registry_may_come_from_the_environment():
    with serving() as server:
        number = server.add(newest("SeriesState").text, "taskstream.state-value")
        result = CliRunner(env={"TASKSTREAM_SCHEMA_REGISTRY": server.url}).invoke(tell)

    assert result.output == f"taskstream {number}\n"

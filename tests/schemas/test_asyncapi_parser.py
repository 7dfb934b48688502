"""The official AsyncAPI parser, from npm, sees every field of the document's messages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from taskstream.compose.local.kafka_jars import default_cache_dir
from taskstream.schemas.catalog import newest, released
from taskstream.schemas.description.asyncapi import AVRO, document
from taskstream.schemas.topics import Topics
from tests.npm.environment import NpmMissing, install_npm_packages, run_node


@pytest.fixture(scope="session")
def npm_folder() -> Path:
    try:
        return install_npm_packages(default_cache_dir(os.environ), print)
    except NpmMissing as error:
        pytest.fail(str(error), pytrace=False)


def parsed(folder: Path, text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_node(folder, "asyncapi_fields.mjs", text))
    return found


def test_the_official_parser_sees_every_field(npm_folder):
    found = parsed(npm_folder, json.dumps(document(Topics())))

    for name in {schema.name for schema in released()}:
        assert found["fields"][name] == [each["name"] for each in newest(name).definition["fields"]]
    assert [each for each in found["diagnostics"] if each[0] in "01"] == []


def test_the_official_parser_skips_schemas_of_a_version_that_it_does_not_know(npm_folder):
    text = json.dumps(document(Topics())).replace(AVRO, AVRO.replace("1.9.0", "1.12.0"))

    assert parsed(npm_folder, text)["fields"]["ProgressReported"] == []

"""The official AsyncAPI parser, from npm, sees every field of the document's messages."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from taskstream.schemas.catalog import newest, released
from taskstream.schemas.description.asyncapi import AVRO, document
from taskstream.schemas.topics import Topics

PROGRAM = Path(__file__).parents[1] / "foreign" / "asyncapi" / "fields.mjs"


@pytest.fixture
def folder(asyncapi_folder: Path, tmp_path: Path) -> Path:
    (tmp_path / "node_modules").symlink_to(asyncapi_folder / "node_modules")  # Node looks beside the program
    shutil.copy(PROGRAM, tmp_path)
    return tmp_path


def parsed(folder: Path, text: str) -> dict[str, Any]:
    command = ["node", str(folder / PROGRAM.name)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_official_parser_sees_every_field(folder):
    found = parsed(folder, json.dumps(document(Topics())))

    for name in {schema.name for schema in released()}:
        assert found["fields"][name] == [each["name"] for each in newest(name).definition["fields"]]
    assert [each for each in found["diagnostics"] if each[0] in "01"] == []


def test_the_official_parser_skips_schemas_of_a_version_that_it_does_not_know(folder):
    text = json.dumps(document(Topics())).replace(AVRO, AVRO.replace("1.9.0", "1.12.0"))

    assert parsed(folder, text)["fields"]["ProgressReported"] == []

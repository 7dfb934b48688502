"""What the edge and the view say of themselves in OpenAPI, held against the standard and against what they do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from taskstream.consumer.view.http.openapi import document as view_document
from taskstream.producer.http.openapi import openapi_document
from taskstream.producer.http.openapi_schemas import components
from tests.producer.edges import REPORT, RunningEdge
from tests.waiting import PROGRAM_LIMIT_S

HERE = Path(__file__).parent


@pytest.mark.parametrize("described", [openapi_document(1000), view_document()], ids=["edge", "view"])
def test_the_description_is_valid_openapi_31(described):
    assert described["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


def test_the_served_description_has_the_bounds_of_this_edge(edge):
    served = edge.get("/openapi.json").json()
    assert served == openapi_document(50)
    many = served["paths"]["/v3/progress"]["post"]["requestBody"]["content"]
    assert {media: each["schema"]["maxItems"] for media, each in many.items()} == {
        "application/json": 50,
        "application/x-ndjson": 50,
    }


def test_a_generated_client_has_names_for_everything_and_demands_no_optional_field():
    described = openapi_document(1000)
    operations = [each for methods in described["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert {tag for each in operations for tag in each["tags"]} == {each["name"] for each in described["tags"]}
    for name in ("ProgressReport", "RelayedReport"):
        properties = described["components"]["schemas"][name]["properties"]
        assert [field for field, schema in properties.items() if schema.get("default", "none") is None] == []


def test_the_answer_to_validate_is_as_described(edge):
    shown = edge.put("t-9", {**REPORT, "new": 1}, "?validate=true").json()
    Draft202012Validator(components()["ValidationResult"]).validate(shown)


def test_schemathesis_finds_no_5xx_and_no_undocumented_answer(edge, tmp_path):
    done = schemathesis(edge, tmp_path)
    assert done.returncode == 0, done.stdout[-8000:]


def schemathesis(edge: RunningEdge, folder: Path) -> subprocess.CompletedProcess[str]:
    """Try the edge with what its own description allows, and with what it does not."""
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    return subprocess.run(
        [*program, f"{edge.url}/openapi.json", "--header", f"X-Auth-Token: {edge.token}"],
        cwd=folder,  # it leaves a folder of its findings
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2]), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PROGRAM_LIMIT_S,
        check=False,
    )

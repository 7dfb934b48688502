"""The released schemas: they never change, they follow the rules of schema evolution, and each keeps its id."""

from __future__ import annotations

import hashlib

import fastavro
import pytest

from taskstream.schemas.catalog import Schema, named, newest, released
from taskstream.schemas.codec.read_plan import columns_of, read_plan
from taskstream.schemas.errors import UnknownSchema, Unresolvable
from taskstream.schemas.ids import TableIds
from taskstream.schemas.subtasks import SUBTASKS
from tests.schemas.codec.records import IDS

RELEASED = {
    "ProgressReported.v1": (1, "3a05dfd7a6220a11811977790e68ea661825639c970bd829121b797a03b8ff9e"),
    "ProgressReported.v2": (2, "1d1e438f09eccea32b997bd3f1ef081ce6248f57fa93e4909de3b8a04521dd9a"),
    "RateWindow.v1": (4, "74059ee71ed3cb581ce6bfc7f58ec1e35b36582a7f958f03f9dd9a0aef1ccea2"),
    "SeriesState.v1": (3, "ce578992299a717e5070f0ad885cb838767876800279a83de566209676240269"),
    "SeriesState.v2": (6, "e0fc05cde0fa81f5de7e00898fcf7eecbc6bad4a171c4957493029b789e29fe0"),
    "SeriesState.v3": (7, "acc7265373c20126eff215ecabe34fb39fab9a1204291030280424bab8971a61"),
    "SeriesState.v4": (8, "48db2ba6e73c815abdfab315c734526d0b7714bee77bda61c25e17870e81150c"),
    "TaskNote.v1": (9, "7b2e5a9aa3409f6f44a1a9244f773b1bdf9f14808f2a6e15cfb472fa47db02f0"),
    "SignalRaised.v1": (5, "53639723fec3e1096a733dccfe02e88ef386957583075511f9ea42bcfa3a58c4"),
}
"""Id and sha256 of each released file. A line may be added and never changed: a new version is a new file."""


@pytest.mark.parametrize("schema", released(), ids=lambda schema: schema.title)
def test_a_released_schema_never_changes(schema):
    assert RELEASED[schema.title] == (IDS.id_of(schema), hashlib.sha256(schema.text.encode()).hexdigest())


def test_no_released_schema_is_removed():
    assert RELEASED.keys() == {schema.title for schema in released()}


@pytest.mark.parametrize("schema", released(), ids=lambda schema: schema.title)
def test_every_schema_is_avro_named_as_its_file(schema):
    parsed = fastavro.parse_schema(schema.definition)

    assert parsed["name"] == f"taskstream.{schema.name}"


@pytest.mark.parametrize("schema", released(), ids=lambda schema: schema.title)
def test_every_field_is_explained(schema):
    assert schema.definition["doc"]
    assert all(each["doc"] for each in schema.definition["fields"])


@pytest.mark.parametrize("schema", released(), ids=lambda schema: schema.title)
def test_a_field_that_may_be_null_is_null_by_default(schema):
    optional = [each for each in schema.definition["fields"] if isinstance(each["type"], list)]

    assert all(each["type"][0] == "null" and each["default"] is None for each in optional)


@pytest.mark.parametrize("written", released(), ids=lambda schema: f"written {schema.title}")
@pytest.mark.parametrize("read", released(), ids=lambda schema: f"read {schema.title}")
def test_every_version_is_read_as_every_other(written: Schema, read: Schema):
    if written.name == read.name:
        assert read_plan(written, columns_of(read))


def test_an_unknown_field_is_refused_with_the_fields_that_there_are():
    with pytest.raises(Unresolvable, match=r"TaskNote\.v1 has no field task; it has project_id, task_id, "):
        columns_of(newest("TaskNote"), frozenset({"task"}))


def test_a_version_adds_its_fields_at_the_end():
    for older, newer in zip(released(), released()[1:], strict=False):
        if older.name == newer.name:
            assert newer.version == older.version + 1
            assert newer.definition["fields"][: len(older.definition["fields"])] == older.definition["fields"]


def test_the_newest_is_the_highest_version():
    assert newest("ProgressReported") == named("ProgressReported.v2")


def test_the_error_for_an_unknown_record_lists_the_known_ones():
    with pytest.raises(UnknownSchema, match=r"'Nothing'.*ProgressReported, RateWindow"):
        newest("Nothing")


def test_the_error_for_an_unknown_title_lists_the_known_ones():
    with pytest.raises(UnknownSchema, match=r"'ProgressReported\.v9'.*ProgressReported\.v2"):
        named("ProgressReported.v9")


def test_the_error_for_an_unknown_id_lists_the_known_ones():
    with pytest.raises(UnknownSchema, match=r"no schema has id 99; .*1, 2, 3, 4, 5, 6, 7"):
        TableIds().schema_of(99)


def test_a_schema_that_is_not_released_has_no_id():
    with pytest.raises(UnknownSchema, match=r"ProgressReported\.v3 has no id"):
        TableIds().id_of(Schema("ProgressReported", 3, "{}"))


def test_there_are_nineteen_subtasks_in_the_apis_spelling():
    assert len(set(SUBTASKS)) == 19
    assert "DETTACH_AGENT_IMAGE" in SUBTASKS

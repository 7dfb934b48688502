"""Golden bytes: every record that a released version wrote stays readable, and is still written byte for byte.

The files under golden/ are never regenerated: if a test here fails, the code is wrong.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskstream.schemas.catalog import named, newest, released
from taskstream.schemas.codec.column_codec import ColumnReader, ColumnWriter
from taskstream.schemas.codec.record_codec import RecordReader, RecordWriter
from tests.schemas.codec.records import IDS, as_newest, batch_of, comparable, rows_of

GOLDEN = Path(__file__).parents[1] / "golden"
EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
TITLES = [schema.title for schema in released()]


def examples(title: str) -> dict[str, dict]:
    return json.loads((EXAMPLES / f"{title}.json").read_text("utf-8"))


def golden(title: str) -> dict[str, bytes]:
    return {name: bytes.fromhex(text) for name, text in json.loads((GOLDEN / f"{title}.json").read_text()).items()}


@pytest.mark.parametrize("title", TITLES)
def test_one_record_is_written_as_ever(title):
    writer = RecordWriter(IDS, named(title))

    assert {name: writer.write(record) for name, record in examples(title).items()} == golden(title)


@pytest.mark.parametrize("title", TITLES)
def test_many_records_are_written_as_ever(title):
    writer = ColumnWriter(IDS, named(title))
    batch = batch_of(writer.schema, list(examples(title).values()))

    assert writer.write(batch) == list(golden(title).values())


@pytest.mark.parametrize("title", TITLES)
def test_one_record_is_read_as_ever(title):
    name = named(title).name
    reader = RecordReader(IDS, name)

    for example, wire in golden(title).items():
        assert comparable(reader.read(wire)) == as_newest(examples(title)[example], name)


@pytest.mark.parametrize("title", TITLES)
def test_many_records_are_read_as_ever(title):
    name = named(title).name

    decoded = ColumnReader(IDS, name).read(list(golden(title).values()))

    assert rows_of(decoded.batch) == [as_newest(record, name) for record in examples(title).values()]


@pytest.mark.parametrize("title", TITLES)
def test_the_examples_have_every_field_in_the_schemas_order(title):
    fields = [each["name"] for each in named(title).definition["fields"]]

    assert all(list(record) == fields for record in examples(title).values())


def test_every_version_has_examples_and_golden_bytes():
    for folder in (EXAMPLES, GOLDEN):
        assert sorted(path.stem for path in folder.iterdir()) == sorted(TITLES)


def test_the_newest_version_of_every_record_is_written_with_its_id():
    for title in {newest(named(title).name).title for title in TITLES}:
        assert {int.from_bytes(wire[1:5]) for wire in golden(title).values()} == {IDS.id_of(named(title))}

"""The rights of each part: only on its own topics, and none twice."""

from __future__ import annotations

import pytest

from taskstream.schemas.access import PARTS
from taskstream.schemas.topics import Topics

TOPICS = Topics("p")
NAMES = {each.name for each in TOPICS.all}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_rights_on_the_pipelines_own_resources_only(part):
    grants = PARTS[part](TOPICS, "g")

    assert {each.name for each in grants if each.kind == "topic"} <= NAMES
    assert {each.name for each in grants if each.kind == "group"} <= {"g", "p", "p.notify"}
    assert {each.name for each in grants if each.kind == "transactional id"} <= {"g.", "p."}
    assert len(grants) == len({*grants})


def test_only_those_who_write_the_reports_may_and_a_reader_writes_nothing():
    writers = {
        part
        for part, needs in PARTS.items()
        for each in needs(TOPICS, "g")
        if (each.name, each.operation) == ("p.progress", "Write")
    }

    assert writers == {"edge", "operator"}
    assert {each.name for each in PARTS["view"](TOPICS, "g") if each.operation == "Write"} == {"p.notes"}
    for part in ("notifier", "analyst"):
        assert {each.operation for each in PARTS[part](TOPICS, "g")} <= {"Read", "Describe"}

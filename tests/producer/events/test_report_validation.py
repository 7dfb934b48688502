"""Which bodies are valid reports, and which error an invalid one gets."""

from __future__ import annotations

import json

import pytest

from taskstream.producer.events.report_validation import LONG_MAX, parse_report
from taskstream.schemas.http.api_error import ApiError
from taskstream.schemas.subtasks import SUBTASKS

GOOD = {
    "subtask_name": "CLONE_VM",
    "progress": 5,
    "replicatesize": 1,
    "totalsize": 2,
    "process_trace": "",
}


def body(**changes):
    return json.dumps({**GOOD, **changes}).encode()


def raw(old: str, new: str) -> bytes:
    return json.dumps(GOOD).replace(old, new).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", SUBTASKS)
def test_every_subtask_of_the_specification_is_accepted(name):
    assert parse_report(body(subtask_name=name)).subtask_name == name


@pytest.mark.parametrize(
    "field, value",
    [
        ("progress", 0),
        ("progress", 100),
        ("replicatesize", 0),
        ("replicatesize", LONG_MAX),
        ("totalsize", LONG_MAX),
        ("process_trace", "x" * 2048),
        ("process_trace", "\N{PILE OF POO}" * 2048),
        ("process_trace", "a\0b"),
        ("migrate_speed", 0),
        ("migrate_speed", 10_000.0),
        ("migrate_speed", None),
        ("compress_rate", 10_000),
        ("remain_time", 2**31 - 1),
        ("remain_time", None),
        ("total_cpu_usage", 99.5),
        ("agent_cpu_usage", 1),
        ("total_mem_usage", 65_536.25),
        ("agent_mem_usage", 128.0),
        ("total_disk_io", 800.5),
        ("agent_disk_io", -0.5),
        ("need_migration_test", True),
        ("agent_time", "2026-11-23 10:00:00"),
        ("agent_time", "x" * 255),
    ],
)
def test_a_value_within_its_bounds_is_accepted(field, value):
    assert getattr(parse_report(body(**{field: value})), field) == value


@pytest.mark.parametrize(
    "field, value",
    [
        ("subtask_name", "MIGRATE"),
        ("subtask_name", "clone_vm"),
        ("subtask_name", ""),
        ("subtask_name", None),
        ("progress", -1),
        ("progress", 101),
        ("progress", 5.0),
        ("progress", "5"),
        ("progress", True),
        ("progress", None),
        ("replicatesize", -1),
        ("replicatesize", LONG_MAX + 1),
        ("totalsize", 1e3),
        ("process_trace", "x" * 2049),
        ("process_trace", 5),
        ("migrate_speed", -0.1),
        ("migrate_speed", 10_000.1),
        ("migrate_speed", float("nan")),
        ("migrate_speed", float("inf")),
        ("migrate_speed", "1"),
        ("compress_rate", 10_001),
        ("remain_time", 2**31),
        ("remain_time", 1.5),
        ("agent_cpu_usage", float("-inf")),
        ("agent_cpu_usage", "1"),
        ("need_migration_test", 1),
        ("need_migration_test", "true"),
        ("agent_time", "x" * 256),
    ],
)
def test_an_invalid_value_is_named_with_its_rule(field, value):
    with pytest.raises(ApiError) as refused:
        parse_report(body(**{field: value}))
    answer = refused.value.problem
    assert answer.kind.code == "TASKSTREAM.0400"
    assert [each.field for each in answer.fields] == [field]
    assert answer.fields[0].rule.startswith("must be ")


@pytest.mark.parametrize("field", list(GOOD))
def test_a_missing_mandatory_field_is_named(field):
    with pytest.raises(ApiError) as refused:
        parse_report(json.dumps({name: value for name, value in GOOD.items() if name != field}).encode())
    assert f"{field}: is mandatory" in str(refused.value)


def test_the_error_names_all_invalid_fields():
    with pytest.raises(ApiError) as refused:
        parse_report(body(progress=101, totalsize=-1, migrate_speed="fast"))
    assert [each.field for each in refused.value.problem.fields] == ["progress", "totalsize", "migrate_speed"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("42.0", "42.0"),
        ("101", "101"),
        ("true", "true"),
        ("null", "null"),
        ('"42"', "a string of 2 characters"),
        ("[42]", "an array"),
        ("{}", "an object"),
        ("1" * 41, "an integer of more than 40 digits"),
    ],
)
def test_what_came_is_told_beside_the_rule(value, told):
    with pytest.raises(ApiError) as refused:
        parse_report(raw('"progress": 5', f'"progress": {value}'))
    assert str(refused.value) == f"progress: must be an integer from 0 to 100, not {told}"


def test_a_bound_is_written_in_digits():
    with pytest.raises(ApiError, match="an integer from 0 to 9223372036854775807"):
        parse_report(body(totalsize=-1))


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        b"  \n",
        b"\xef\xbb\xbf" + body(),
        b"{",
        body() + b"x",
        b"[]",
        b"null",
        b'"report"',
        raw('""', '"\\ud800"'),
        raw('""', '"\ud800"'),
        raw('""', '"\\udc00\\ud800"'),
        b"\xff\xfe{}",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
        raw("5", "9" * 5000),
        raw("5", "05"),
        raw("5", "+5"),
        raw("5", "0x5"),
        raw('"CLONE_VM"', "'CLONE_VM'"),
    ],
    ids=range(18),
)
def test_a_body_that_is_not_a_utf8_json_object_is_malformed(malformed):
    with pytest.raises(ApiError) as refused:
        parse_report(malformed)
    assert refused.value.problem.kind.code == "APIGW.0201"


def test_the_last_of_duplicate_fields_wins():
    assert parse_report(raw('"progress": 5', '"progress": 5, "progress": 6')).progress == 6


def test_unknown_fields_are_accepted_and_counted():
    report = parse_report(body(new_field={"deep": [1]}, other=1))
    assert report.unknown_names == ("new_field", "other")
    assert report.progress == 5


def test_a_number_too_large_for_a_double_is_refused():
    with pytest.raises(ApiError, match="migrate_speed: must be a finite number"):
        parse_report(raw('"progress": 5', '"progress": 5, "migrate_speed": 1e999'))

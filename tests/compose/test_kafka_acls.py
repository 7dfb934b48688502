"""Rights as commands and as resources: what a shell and a YAML parser read from them."""

from __future__ import annotations

import itertools
import shlex

import yaml
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.schemas.access import PARTS
from taskstream.schemas.topics import Topics


def printed(*options: str) -> str:
    result = CliRunner().invoke(cli, ["topics", "acls", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_grant_what_each_part_needs():
    found = set()
    part = ""
    for line in printed("--prefix", "p").splitlines():
        if line.startswith("# "):
            part = line[2:]
            continue
        words = shlex.split(line, comments=True)
        given = dict(itertools.pairwise(words))
        assert given["--allow-principal"] == f"User:p-{part}"
        kind = next(each for each in ("--topic", "--group", "--transactional-id") if each in given)
        operations = [after for word, after in itertools.pairwise(words) if word == "--operation"]
        found |= {(part, kind[2:], given[kind], each, "prefixed" in words) for each in operations}

    assert found == {
        (part, each.kind.replace(" ", "-"), each.name, each.operation, each.is_prefix)
        for part, needs in PARTS.items()
        for each in needs(Topics("p"), "p.worker")
    }


def test_the_users_of_strimzi_have_the_same_rights():
    users = list(yaml.safe_load_all(printed("--prefix", "p", "-o", "strimzi")))
    found = {
        (user["metadata"]["name"], *(acl["resource"][each] for each in ("type", "name", "patternType")), operation)
        for user in users
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }

    kinds = {"topic": "topic", "group": "group", "transactional id": "transactionalId"}
    assert found == {
        (f"p-{part}", kinds[each.kind], each.name, "prefix" if each.is_prefix else "literal", each.operation)
        for part, needs in PARTS.items()
        for each in needs(Topics("p"), "p.worker")
    }


def test_one_part_and_another_group():
    lines = printed("--part", "view", "--group", "others").splitlines()

    assert lines[0] == "# view"
    assert [line for line in lines if "--group" in line] == [line for line in lines if "--group others" in line] != []

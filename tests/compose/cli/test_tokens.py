"""`taskstream tokens`: what it writes is what the edge and the view read."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from taskstream.compose.cli import cli
from taskstream.compose.cli.command_clock import CommandClock
from taskstream.producer.callers.token_file import TokenFile

ADD_MANY = """
import sys
from taskstream.compose.cli import cli
for _ in range(30):
    cli(["tokens", "add", "--project", "p", "--file", sys.argv[1]], standalone_mode=False)
"""
NOW_S = 1_795_600_000


def run(path: Path, command: str, *arguments: str) -> Result:
    clock = CommandClock(lambda: NOW_S * 1_000_000)
    return CliRunner().invoke(cli, ["tokens", command, "--file", str(path), *arguments], obj=clock)


def added(path: Path, *arguments: str) -> str:
    result = run(path, "add", "--project", "p", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def listed(path: Path) -> list[dict]:
    return json.loads(run(path, "list", "-o", "json").stdout)


def is_accepted(path: Path, token: str, now_s: float = NOW_S) -> bool:
    tokens = TokenFile(path, print, now_s=lambda: now_s)
    tokens.load()
    return tokens.known(token.encode()) is not None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.jsonl"


def test_a_token_with_a_time_to_live_expires_after_it(path):
    token = added(path, "--expires", "30d")
    assert is_accepted(path, token, NOW_S + 30 * 86_400 - 1)
    assert not is_accepted(path, token, NOW_S + 30 * 86_400)
    assert [row["expired"] for row in listed(path)] == [False]


def test_the_list_names_tokens_and_does_not_hold_them(path):
    token = added(path, "--label", "Zoë's laptop", "--role", "read", "--role", "operate", "--expires", "10s")
    (row,) = listed(path)
    assert row == {
        "id": row["id"],
        "label": "Zoë's laptop",
        "project": "p",
        "roles": "operate read",
        "expires": "2026-11-25T09:46:50+00:00",
        "expired": False,
    }
    assert len(row["id"]) == 8
    assert token not in path.read_text("utf-8")


def test_as_json_a_new_token_and_a_revoked_one_are_rows_of_the_list(path):
    new = json.loads(run(path, "add", "--project", "p", "--label", "agents", "-o", "json").stdout)
    assert is_accepted(path, new.pop("token"))
    assert [new] == listed(path)
    assert json.loads(run(path, "revoke", "agents", "-o", "json").stdout) == new
    assert listed(path) == []


def test_a_revoked_token_is_gone_and_the_others_and_the_comments_stay(path):
    first, second, third = added(path, "--label", "agents"), added(path), added(path, "--label", "me")
    path.write_text("# who may\n" + path.read_text())
    assert run(path, "revoke", "agents").exit_code == 0
    assert run(path, "revoke", listed(path)[0]["id"]).exit_code == 0
    assert [is_accepted(path, each) for each in (first, second, third)] == [False, False, True]
    assert path.read_text().startswith("# who may\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["nobody", "twin"])
def test_what_names_not_exactly_one_token_revokes_none(path, name):
    tokens = [added(path, "--label", "twin"), added(path, "--label", "twin"), added(path)]
    result = run(path, "revoke", name)
    assert result.exit_code == 2
    assert name in result.stderr
    assert listed(path)[0]["id"] in result.stderr
    assert all(is_accepted(path, each) for each in tokens)


def test_commands_at_the_same_time_lose_no_token(path):
    old = [added(path, "--label", f"old-{number}") for number in range(30)]
    adding = subprocess.Popen([sys.executable, "-c", ADD_MANY, str(path)], stdout=subprocess.PIPE, text=True)
    for number in range(30):
        assert run(path, "revoke", f"old-{number}").exit_code == 0
    made = adding.communicate()[0].split()
    assert len(made) == 30
    assert all(is_accepted(path, each) for each in made)
    assert not any(is_accepted(path, each) for each in old)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("add", "--project", "p", "--label", "a\nb"), "--label"),
        (("add", "--project", "p", "--expires", "soon"), "'soon'"),
        (("add", "--project", "p", "--expires", "99999999999999d"), "100 years"),
        (("list",), "tokens.jsonl"),
        (("revoke", "x"), "tokens.jsonl"),
    ],
)
def test_bad_input_is_named_and_writes_nothing(path, arguments, named):
    result = run(path, *arguments)
    assert result.exit_code in (1, 2)
    assert named in result.stderr
    assert not path.exists()

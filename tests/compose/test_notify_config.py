"""The configuration file of `taskstream notify`: what it becomes, and what is said of one that cannot be used."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.errors import NotifyConfigInvalid
from taskstream.compose.notify_config import read_notify_config
from taskstream.consumer.notify.settings import ReceiverType
from tests.private_files import write_private

GOOD = """
dead_letter = "undelivered.jsonl"
view = "https://view.example"
group_for = "1m"

[receivers.oncall]
type = "alertmanager"
url = "http://127.0.0.1:9093"
labels = {severity = "warning"}

[receivers.chat]
type = "webhook"
url = "https://chat.example/hook"
token_file = "token"
secret_file = "secret"
template = '{"text": "$summary"}'
give_up_after = "10m"

[quiet.nights]
begins = "22:00"
ends = "06:00"
zone = "Europe/Berlin"
days = ["Mon", "Fri"]

[[routes]]
projects = ["p"]
kinds = ["SILENT", "RESET"]
receivers = ["oncall", "chat"]
quiet = "nights"

[[routes]]
receivers = ["oncall"]
"""


def read(folder: Path, text: str):
    write_private(folder / "token", "t0ken\n")
    if not (folder / "secret").exists():
        write_private(folder / "secret", "s3cret\n")
    (folder / "notify.toml").write_text(text)
    return read_notify_config(
        folder / "notify.toml", topic="x.signals", group="x.notify", bucket_us=60_000_000, from_earliest=False
    )


def test_a_file_becomes_settings_with_secrets_that_no_repr_shows(tmp_path):
    settings = read(tmp_path, GOOD)

    chat, first = settings.receivers["chat"], settings.routes[0]
    assert (chat.type, chat.token, chat.secret, chat.give_up_s) == (ReceiverType.WEBHOOK, "t0ken", b"s3cret", 600.0)
    assert settings.receivers["oncall"].labels == {"severity": "warning"}
    assert (settings.window_s, settings.dead_letter) == (60.0, tmp_path / "undelivered.jsonl")
    assert first.projects == {"p"}
    assert (first.quiet.begins, first.quiet.zone.key, first.quiet.days) == (time(22), "Europe/Berlin", {0, 4})
    assert settings.routes[1].kinds == {"SILENT", "SLOW", "NO_PROGRESS"}
    assert "t0ken" not in repr(settings)
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('dead_letter = "undelivered.jsonl"', "", "dead_letter is missing: add it"),
        ("group_for", "webhook", "notify.toml: webhook is not a key of this table"),
        ("group_for", "groupfor", "groupfor is not a key of this table: remove it, or correct its spelling"),
        ('"1m"', '"1 minute"', "group_for: '1 minute' is not a duration: write \"30s\""),
        ('"1m"', '"0s"', "group_for: '0s' is not a duration"),
        ('"alertmanager"', '"pager"', 'receivers.oncall.type must be "alertmanager" or "webhook"'),
        (
            '"http://127.0.0.1:9093"',
            '"127.0.0.1:9093"',
            "receivers.oncall.url: '127.0.0.1:9093' is not a URL: write http",
        ),
        ("severity", "task_id", "'task_id' cannot be a label"),
        ("$summary", "$task", "receivers.chat.template: "),
        ('"10m"', "10", "receivers.chat.give_up_after: 10 is not a duration"),
        ('"22:00"', '"10pm"', "quiet.nights.begins: '10pm' is not a time of the day: write \"22:00\""),
        (
            "Europe/Berlin",
            "Europe/Atlantis",
            "quiet.nights.zone: 'Europe/Atlantis' is not an IANA time zone: write one",
        ),
        ('"Fri"', '"Friday"', "quiet.nights.days.1: 'Friday' is not a day: write one of Mon"),
        ('"RESET"', '"RESETS"', "routes.0.kinds.1: 'RESETS' is not a kind of alert: write one of COMPLETE"),
        ('"chat"]', '"chart"]', "routes.0.receivers: there is no [receivers.chart]: write 'chat'"),
        ('quiet = "nights"', 'quiet = "days"', "routes.0.quiet: there is no [quiet.days]: add a table [quiet.days]"),
        ('projects = ["p"]', "", "routes.0: it takes every project, so that the routes after it take none: move it"),
        ('projects = ["p"]', "projects = []", "routes.0.projects is empty: name at least one"),
        (
            'group_for = "1m"',
            'links = {logs = "logs.example"}',
            "links: {'logs': 'logs.example'} 'logs.example' is no URL: write http(s)://HOST/PATH",
        ),
        ('group_for = "1m"', 'labels_file = "none.csv"', "labels_file: "),
        (
            'group_for = "1m"',
            'links = {logs = "https://logs/{hots}"}',
            "{hots} of the link logs: a label needs a file of labels; known are project_id, task_id; name one with labels_",
        ),
        ("[quiet.nights]", "[quiet.nights", "is not TOML: "),
        ('"secret"', '"no-such"', "receivers.chat.secret_file: the token file"),
    ],
)
def test_a_message_names_the_key_and_the_remedy(tmp_path, old, new, sentence):
    assert old in GOOD
    with pytest.raises(NotifyConfigInvalid) as raised:
        read(tmp_path, GOOD.replace(old, new, 1))

    assert sentence in str(raised.value)


def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path):
    with pytest.raises(NotifyConfigInvalid) as raised:
        read(tmp_path, GOOD.replace("http://127", "http://user:hunter2@127"))

    assert "put a token into a file and name that with token_file" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    write_private(tmp_path / "secret", "s3cret").chmod(0o644)
    with pytest.raises(NotifyConfigInvalid) as raised:
        read(tmp_path, GOOD)

    assert "receivers.chat.secret_file: " in str(raised.value)
    assert f"run `chmod 600 {tmp_path / 'secret'}`" in str(raised.value)


def test_the_command_checks_a_file_without_a_broker(tmp_path):
    read(tmp_path, GOOD)
    path = tmp_path / "notify.toml"
    command = ["notify", "--check", "--bootstrap-servers", "127.0.0.1:1", "--config"]

    good = CliRunner().invoke(cli, [*command, str(path)])
    assert (good.exit_code, good.output) == (0, f"{path}: 2 receivers, 2 routes\n")
    missing = CliRunner().invoke(cli, [*command, str(tmp_path / "none.toml")])
    assert missing.exit_code == 1
    assert "none.toml cannot be read (No such file or directory): name a TOML file" in missing.output

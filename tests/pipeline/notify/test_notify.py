"""`taskstream notify` on a real broker: what receivers get when they fail, hang and recover, and when it is killed."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.pipeline.notify.notifiers import (
    config,
    note,
    notifier,
    raise_signals,
    signal,
    undelivered,
    webhook,
)
from tests.pipeline.streams import kill, producer
from tests.private_files import write_private
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow

ONE = """
group_for = "1s"
view = "https://view.example/migrations"
[receivers.hook]
type = "webhook"
url = "{url}"
timeout = "5m"
per_minute = 6000
burst = 1000
{more}
[[routes]]
receivers = ["hook"]
"""

IMPATIENT = ONE.replace('"5m"', '"2s"')
"""Of a receiver that hangs. With ONE, no alert is told twice because this process stood still when it came."""


def committed(broker, topics) -> dict[int, tuple[int, str | None]]:
    """[partition] The notifiers' committed offset and its metadata."""
    asking = Consumer(broker.config(**{"group.id": f"{topics.prefix}.notify"}))
    places = [TopicPartition(topics.signals.name, each) for each in range(topics.partitions)]
    found = {each.partition: (each.offset, each.metadata) for each in asking.committed(places, timeout=LIMIT_S)}
    asking.close()
    return found


def ends(broker, topics) -> dict[int, int]:
    """[partition] The end of the signals topic."""
    asking = Consumer(broker.config(**{"group.id": f"{topics.prefix}.notify"}))
    places = [TopicPartition(topics.signals.name, each) for each in range(topics.partitions)]
    found = {each.partition: asking.get_watermark_offsets(each, timeout=LIMIT_S)[1] for each in places}
    asking.close()
    return found


def read_offsets(broker, topics) -> int:
    return sum(offset for offset, _ in committed(broker, topics).values())


def test_alerts_of_one_project_and_kind_are_one_signed_notification(broker, topics, tmp_path):
    write_private(tmp_path / "secret", "s3cret\n")
    with webhook() as hook:
        path = config(tmp_path, ONE.format(url=hook.url, more='secret_file = "secret"'))
        with notifier(broker, topics, path):
            raise_signals(broker, topics, [signal("a"), signal("b"), signal("c", "SLOW"), signal("d", project="q")])
            wait_until(lambda: sum(hook.tasks().values()) == 4)
            assert wait_until(lambda: read_offsets(broker, topics) == 4)
    found = {(each["project_id"], each["kind"]): each["count"] for each in hook.accepted}
    assert found == {("p", "SILENT"): 2, ("p", "SLOW"): 1, ("q", "SILENT"): 1}
    for headers, body in hook.requests:
        signed = f"{headers['X-Taskstream-Timestamp']}.".encode() + body
        digest = hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
        assert headers["X-Taskstream-Signature"] == f"sha256={digest}"
    slow = next(each for each in hook.accepted if each["kind"] == "SLOW")["alerts"][0]
    assert slow["link"] == "https://view.example/migrations/?task=c&project=p"
    assert slow["text"].startswith("the last 5 min at 36 %")


def test_a_signal_that_ends_a_state_resolves_it_and_begins_the_next(broker, topics, tmp_path):
    with webhook() as hook:
        path = config(tmp_path, ONE.format(url=hook.url, more=""))
        with notifier(broker, topics, path):
            raise_signals(broker, topics, [signal("a", "SLOW")])
            wait_until(lambda: len(hook.statuses()) == 1)
            raise_signals(broker, topics, [signal("a", "NO_PROGRESS", before="SLOW")])
            wait_until(lambda: len(hook.statuses()) == 3)
            raise_signals(broker, topics, [signal("a", "RESUMED", before="NO_PROGRESS")])
            wait_until(lambda: len(hook.statuses()) == 4)
    assert hook.statuses()[0] == ("a", "SLOW", "firing")
    assert sorted(hook.statuses()[1:3]) == [("a", "NO_PROGRESS", "firing"), ("a", "SLOW", "resolved")]
    assert hook.statuses()[3] == ("a", "NO_PROGRESS", "resolved")


def test_a_new_group_tells_nothing_of_the_past_and_a_known_one_what_came_while_it_was_down(broker, topics, tmp_path):
    with webhook() as hook:
        path = config(tmp_path, ONE.format(url=hook.url, more=""))
        raise_signals(broker, topics, [signal("past")])
        with notifier(broker, topics, path):
            wait_until(lambda: read_offsets(broker, topics) == 1)
        raise_signals(broker, topics, [signal("meanwhile")])
        with notifier(broker, topics, path):
            wait_until(hook.tasks)
    assert hook.tasks() == {"meanwhile": 1}


@pytest.mark.parametrize("kills", [2])
def test_a_webhook_that_fails_and_hangs_gets_every_signal_though_the_notifier_is_killed(
    broker, topics, tmp_path, kills
):
    with webhook() as hook:
        path = config(tmp_path, IMPATIENT.format(url=hook.url, more=""))
        with notifier(broker, topics, path):
            wait_until(lambda: all(offset >= 0 for offset, _ in committed(broker, topics).values()))
        wanted = set()
        for turn in range(kills):
            hook.status = 503
            tasks = [f"{turn}-{each}" for each in range(100)]
            wanted |= set(tasks)
            refused = hook.refused
            with notifier(broker, topics, path) as running:
                raise_signals(broker, topics, [signal(each, project=f"p{int(each[-1]) % 3}") for each in tasks])
                wait_until(lambda: hook.refused > refused + 1, running.words)  # noqa: B023 (called within the turn)
                hook.most = len(hook.accepted) + 1  # of three notifications, one for each project
                hook.status = 200
                wait_until(lambda: len(hook.accepted) == hook.most, running.words)
                kill(running.process)
            hook.status = 503  # for the request of the killed one
            hook.most = None
        hook.status = 200
        with notifier(broker, topics, path) as running:
            wait_until(lambda: hook.tasks().keys() >= wanted, running.words)
            wait_until(lambda: read_offsets(broker, topics) == len(wanted), running.words)
            assert running.metric("pending_signals") == 0
    assert hook.tasks().keys() == wanted
    assert undelivered(tmp_path) == []


def test_a_receiver_that_hangs_delays_no_other(broker, topics, tmp_path):
    text = IMPATIENT + '[receivers.other]\ntype = "webhook"\nurl = "{other}"\n'
    with webhook() as hook, webhook() as other:
        hook.answering.clear()
        text = text.replace('receivers = ["hook"]', 'receivers = ["hook", "other"]')
        head, route = text.split("[[routes]]")
        route, table = route.split("[receivers.other]")
        text = f"{head}[receivers.other]{table}[[routes]]{route}"
        path = config(tmp_path, text.format(url=hook.url, other=other.url, more=""))
        with notifier(broker, topics, path) as running:
            raise_signals(broker, topics, [signal("a")])
            wait_until(lambda: other.tasks() == {"a": 1}, running.words)
            assert read_offsets(broker, topics) == 0
            hook.answering.set()
            wait_until(lambda: hook.tasks() == {"a": 1} or hook.tasks()["a"] > 1, running.words)
            wait_until(lambda: read_offsets(broker, topics) == 1, running.words)
    assert other.tasks() == {"a": 1}


def test_what_is_refused_or_not_delivered_in_time_is_a_dead_letter(broker, topics, tmp_path):
    with webhook() as hook:
        with notifier(broker, topics, config(tmp_path, ONE.format(url=hook.url, more=""))) as running:
            hook.status = 422
            raise_signals(broker, topics, [signal("refused")])
            wait_until(lambda: len(undelivered(tmp_path)) == 1, running.words)
            wait_until(lambda: running.metric('attempts_total{outcome="dead_letter",receiver="hook"}') == 1)
            wait_until(lambda: read_offsets(broker, topics) == 1, running.words)
        impatient = IMPATIENT.format(url=hook.url, more='give_up_after = "2s"')
        with notifier(broker, topics, config(tmp_path, impatient)) as running:
            hook.status = 503
            raise_signals(broker, topics, [signal("late")])
            wait_until(lambda: len(undelivered(tmp_path)) == 2, running.words)
            wait_until(lambda: read_offsets(broker, topics) == 2, running.words)
        with notifier(broker, topics, config(tmp_path, ONE.format(url=hook.url, more=""))) as running:
            hook.status = 200
            raise_signals(broker, topics, [signal("good")])
            wait_until(lambda: hook.tasks() == {"good": 1}, running.words)
            wait_until(lambda: read_offsets(broker, topics) == 3, running.words)
    refused, late = undelivered(tmp_path)
    assert (refused["receiver"], refused["why"]) == ("hook", "status 422")
    assert refused["notification"]["alerts"][0]["task_id"] == "refused"
    assert late["notification"]["count"] == 1
    assert late["why"].startswith(
        ("status 503", "no response")
    )  # that of the last attempt, which may have found no time


def test_an_unreadable_record_is_a_dead_letter_and_what_follows_is_told(broker, topics, tmp_path):
    with webhook() as hook:
        path = config(tmp_path, ONE.format(url=hook.url, more=""))
        with notifier(broker, topics, path) as running:
            sender = producer(broker.bootstrap_servers)
            sender.produce(topics.signals.name, b"not ours", b"p/a", 0)
            assert sender.flush(LIMIT_S) == 0
            raise_signals(broker, topics, [signal("a"), signal("b")])
            wait_until(lambda: hook.tasks() == {"a": 1, "b": 1}, running.words)
            wait_until(lambda: read_offsets(broker, topics) == 3, running.words)
            assert running.metric('signals_total{fate="unreadable"}') == 1
    (letter,) = undelivered(tmp_path)
    assert (bytes.fromhex(letter["value"]), bytes.fromhex(letter["key"])) == (b"not ours", b"p/a")


def test_what_quiet_hours_hold_is_not_committed_and_what_went_beside_it_is_not_told_again(broker, topics, tmp_path):
    text = """
group_for = "1s"
[receivers.hook]
type = "webhook"
url = "{url}"
timeout = "5m"
[quiet.always]
begins = "00:00"
ends = "00:00"
zone = "UTC"
[[routes]]
projects = ["asleep"]
receivers = ["hook"]
quiet = "{quiet}"
[[routes]]
receivers = ["hook"]
[quiet.never]
begins = "00:00"
ends = "00:01"
zone = "UTC"
days = ["Mon"]
"""
    with webhook() as hook:
        path = config(tmp_path, text.format(url=hook.url, quiet="always"))
        with notifier(broker, topics, path) as running:
            raise_signals(broker, topics, [signal("held", project="asleep")])
            raise_signals(broker, topics, [signal(f"told-{each}") for each in range(20)])
            wait_until(lambda: len(hook.tasks()) == 20, running.words)
            wait_until(lambda: any("-" in (text or "") for _, text in committed(broker, topics).values()))
            wait_until(lambda: running.metric('held_alerts{receiver="hook"}') == 1)
        config(tmp_path, text.format(url=hook.url, quiet="always").replace('quiet = "always"\n', ""))
        with notifier(broker, topics, path) as running:
            wait_until(lambda: read_offsets(broker, topics) == 21, running.words)
            assert running.metric('signals_total{fate="repeated"}') > 0
    assert hook.tasks() == {"held": 1} | {f"told-{each}": 1 for each in range(20)}


def test_a_template_fills_the_body(broker, topics, tmp_path):
    more = 'template = \'{{"text": "$summary", "link": "$link", "alerts": []}}\''
    with webhook() as hook:
        path = config(tmp_path, ONE.format(url=hook.url, more=more.format()))
        with notifier(broker, topics, path) as running:
            raise_signals(broker, topics, [signal('a "quoted"')])
            wait_until(lambda: hook.accepted, running.words)
    sent = json.loads(hook.requests[0][1])
    assert sent["text"].startswith('SILENT firing: a "quoted" MIGRATE_LINUX_FILE: no report for')
    assert sent["link"] == "https://view.example/migrations/?task=a+%22quoted%22&project=p"


def test_signals_that_retention_deleted_unread_are_counted_and_what_follows_is_told(broker, topics, tmp_path):
    with webhook() as hook:
        path = config(tmp_path, ONE.format(url=hook.url, more=""))
        with notifier(broker, topics, path):
            wait_until(lambda: all(offset >= 0 for offset, _ in committed(broker, topics).values()))
        raise_signals(broker, topics, [signal("a", "SLOW"), signal("a"), signal("a", "RESUMED", before="SILENT")])
        end = max(committed(broker, topics), key=lambda each: ends(broker, topics)[each])
        admin = AdminClient(broker.config())
        for answer in admin.delete_records([TopicPartition(topics.signals.name, end, 2)]).values():
            answer.result(LIMIT_S)
        with notifier(broker, topics, path) as running:
            wait_until(lambda: hook.statuses() == [("a", "SILENT", "resolved")], running.words)
            wait_until(lambda: read_offsets(broker, topics) == 3, running.words)
            assert running.metric("lost_total") == 2


def test_notifiers_of_a_group_share_the_partitions_and_one_takes_over_from_another_that_is_killed(
    broker, topics, tmp_path
):
    with webhook() as hook:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        paths = [config(tmp_path / name, ONE.format(url=hook.url, more="")) for name in ("one", "two")]
        with notifier(broker, topics, paths[0]) as first, notifier(broker, topics, paths[1]) as second:
            wait_until(lambda: all(offset >= 0 for offset, _ in committed(broker, topics).values()))
            hook.status = 503
            tasks = {f"t-{each}" for each in range(40)}
            raise_signals(broker, topics, [signal(each) for each in sorted(tasks)])
            wait_until(lambda: hook.refused > 2, first.words)
            kill(first.process)
            hook.status = 200
            wait_until(lambda: hook.tasks().keys() == tasks, second.words)
            wait_until(lambda: read_offsets(broker, topics) == 40, second.words)


def test_a_muted_task_tells_nobody_until_its_mute_ends(broker, topics, tmp_path):
    note(broker, topics, "muted")
    with webhook() as hook:
        path = config(tmp_path, ONE.format(url=hook.url, more=""))
        with notifier(broker, topics, path):
            raise_signals(broker, topics, [signal("muted"), signal("b")])
            wait_until(lambda: hook.statuses() == [("b", "SILENT", "firing")])
        note(broker, topics, "muted", until=1)
        with notifier(broker, topics, path):
            wait_until(lambda: ("muted", "SILENT", "firing") in hook.statuses())

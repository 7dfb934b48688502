"""What a signal means: a state begins, a state ends, or something happened; and how receivers read it."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from pathlib import Path

import pytest

from taskstream.consumer.notify.alert import SignalPlace, alerts_of
from taskstream.consumer.notify.alertmanager import alertmanager_body
from taskstream.consumer.notify.outbox import Notification
from taskstream.consumer.notify.settings import NotifySettings, Receiver, ReceiverType, Route
from taskstream.consumer.notify.webhook import (
    delivery_id,
    signed_headers,
    template_problem,
    webhook_body,
    webhook_document,
)
from taskstream.consumer.notify.wording import MOST_LINES, lines_of
from taskstream.consumer.task_context.link_templates import link_template
from taskstream.consumer.task_context.task_context import TaskContext
from tests.consumer.notify.alerts import S, T, raised, silent

ONCALL = Receiver(name="r", type=ReceiverType.ALERTMANAGER, url="http://a", labels={"team": "x"})
SETTINGS = NotifySettings("t", "g", {"r": ONCALL}, (Route(("r",)),), Path("x"), "https://view/")
WHERE = SignalPlace(2, 9)


def notification(*signals) -> Notification:
    found = tuple(each for number, signal in enumerate(signals) for each in alerts_of(signal, SignalPlace(0, number)))
    return Notification("r", "p", found[0].kind, found)


@pytest.mark.parametrize(
    ("signal", "before", "after", "expected"),
    [
        ("SILENT", "OK", "SILENT", [("SILENT", "firing")]),
        ("SILENT", "SLOW", "SILENT", [("SLOW", "resolved"), ("SILENT", "firing")]),
        ("RESUMED", "SILENT", "OK", [("SILENT", "resolved")]),
        ("RESUMED", "SILENT", "SLOW", [("SILENT", "resolved"), ("SLOW", "firing")]),
        ("RESUMED", "OK", "OK", []),
        ("COMPLETE", "NO_PROGRESS", "COMPLETE", [("NO_PROGRESS", "resolved"), ("COMPLETE", "event")]),
        ("RESET", "SLOW", "SLOW", [("RESET", "event")]),
        ("ETA_MOVED", "OK", "OK", [("ETA_MOVED", "event")]),
        ("FROM_A_NEWER_WORKER", "OK", "OK", [("FROM_A_NEWER_WORKER", "event")]),
    ],
)
def test_a_signal_ends_the_state_before_and_begins_the_state_after(signal, before, after, expected):
    found = alerts_of(raised(signal, before, after), WHERE)

    assert [(each.kind, each.status) for each in found] == expected
    assert {each.origin for each in found} <= {WHERE}


def test_a_state_has_the_times_of_the_signal():
    ended, began = alerts_of(raised("SILENT", "SLOW", "SILENT"), WHERE)

    assert (ended.starts_at, ended.ends_at) == (T - 900 * S, T)
    assert (began.starts_at, began.ends_at) == (T - 300 * S, None)


def test_alertmanager_gets_a_firing_alert_that_ends_in_the_future_and_a_resolved_one_that_ended():
    bodies = [
        json.loads(alertmanager_body(notification(each), ONCALL, SETTINGS, T / S))
        for each in (raised("SILENT", "OK", "SILENT"), raised("RESUMED", "SILENT", "OK"))
    ]
    (firing,), (resolved,) = bodies
    assert firing["labels"] == resolved["labels"]
    assert firing["labels"]["team"] == "x"
    assert firing["endsAt"] == "2026-11-30T08:10:00.000000Z"
    assert (resolved["startsAt"], resolved["endsAt"]) == ("2026-11-23T07:55:00.000000Z", "2026-11-23T08:10:00.000000Z")
    assert firing["generatorURL"] == "https://view/?task=t&project=p"


def test_labels_and_links_of_the_task_are_told(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("project_id,task_id,owner\np,t,Zoë\n", "utf-8")
    context = TaskContext([link_template("logs", "https://logs/{task_id}?{owner}")], labels)
    settings = replace(SETTINGS, context=context)
    told = notification(raised("SILENT", "OK", "SILENT"))
    (alert,) = json.loads(alertmanager_body(told, ONCALL, settings, T / S))
    assert alert["labels"].keys() == {"team", "alertname", "kind", "project_id", "task_id", "subtask"}
    assert alert["annotations"]["label_owner"] == "Zoë"
    assert alert["annotations"]["link_logs"] == "https://logs/t?Zo%C3%AB"
    (row,) = webhook_document(told, settings)["alerts"]
    assert (row["labels"], row["links"]) == ({"owner": "Zoë"}, {"logs": "https://logs/t?Zo%C3%AB"})


def test_alertmanager_gets_the_last_alert_of_a_state_that_came_and_went():
    both = notification(raised("SILENT", "OK", "SILENT"), raised("RESUMED", "SILENT", "OK"))

    (only,) = json.loads(alertmanager_body(both, ONCALL, SETTINGS, T / S))
    assert only["endsAt"] == "2026-11-23T08:10:00.000000Z"
    assert [each["status"] for each in webhook_document(both, SETTINGS)["alerts"]] == ["firing", "resolved"]


def test_a_signature_is_hmac_sha256_over_time_and_body():
    headers = signed_headers(b"key", b'{"a": 1}', 1_795_421_400.9)

    expected = hmac.new(b"key", b'1795421400.{"a": 1}', hashlib.sha256).hexdigest()
    assert headers == {"X-Taskstream-Timestamp": "1795421400", "X-Taskstream-Signature": f"sha256={expected}"}


def test_the_same_alerts_have_the_same_delivery_id_and_others_another():
    one, other = silent("a", 1), silent("a", 2)

    assert delivery_id(Notification("r", "p", "SILENT", (one,))) == delivery_id(
        Notification("r", "p", "SILENT", (one,))
    )
    assert delivery_id(Notification("r", "p", "SILENT", (one,))) != delivery_id(
        Notification("r", "p", "SILENT", (other,))
    )


def test_a_value_in_a_template_cannot_leave_its_string():
    hostile = notification(raised("SILENT", "OK", "SILENT", task_id='"}, {"$count\n\\'))
    body = json.loads(webhook_body(hostile, '{"text": "$text", "n": $count}', SETTINGS))

    assert body["n"] == 1
    assert body["text"].startswith('"}, {"$count\n\\ MIGRATE_LINUX_FILE: ')


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ('{"text": "$summary"}', None),
        ('{"price": "$$5"}', None),
        ('{"text": "$task"}', "$task is not one of $count, $id"),
        ('{"text": $summary x}', "it is not JSON when it is filled in"),
        ('{"text": "5 $"}', "a $ that begins no placeholder must be written $$"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_with_a_remedy(template, problem):
    found = template_problem(template)

    assert found == problem or (problem and found and found.startswith(problem))


def test_long_lists_are_cut_and_say_how_many_more_there_are():
    lines = lines_of([silent(f"t-{each}") for each in range(MOST_LINES + 3)], 60 * S).split("\n")

    assert (len(lines), lines[-1]) == (MOST_LINES + 1, "and 3 more")

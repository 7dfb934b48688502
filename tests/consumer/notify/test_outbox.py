"""When a receiver is told: grouping, the rate limit, quiet hours, retries and giving up, by a clock that is passed in."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from taskstream.consumer.notify.alert import SignalPlace, alerts_of
from taskstream.consumer.notify.outbox import LONGEST_RETRY_S, Outbox, TokenBucket, retry_pause_s
from taskstream.consumer.notify.quiet_hours import QuietHours
from taskstream.consumer.notify.settings import Receiver, ReceiverType, Route
from tests.consumer.notify.alerts import raised, silent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
NIGHTS = QuietHours(time(22), time(6), ZoneInfo("UTC"))


def outbox(*, most_alerts: int = 100, quiet: QuietHours | None = None, muted: set[str] | None = None, **more) -> Outbox:
    receiver = Receiver(name="r", type=ReceiverType.WEBHOOK, url="http://r", **more)
    routes = (Route(("r",), frozenset({"asleep"}), quiet=quiet), Route(("r",)))
    return Outbox(receiver, routes, 30.0, most_alerts, lambda alert: alert.signal.task_id in (muted or ()))


def tasks(notification) -> list[str]:
    return [each.signal.task_id for each in notification.alerts]


def test_alerts_of_a_window_are_one_notification():
    box = outbox()
    box.add(1, silent("a"), NOON)
    box.add(1, silent("b"), NOON + 29)
    box.add(1, silent("c", project="q"), NOON + 29)

    assert box.next(NOON + 29.9) is None
    assert tasks(box.next(NOON + 30)) == ["a", "b"]
    assert box.next(NOON + 100) is None, "one is under way"
    box.sent()
    assert tasks(box.next(NOON + 100)) == ["c"]


def test_a_full_group_is_sent_before_its_window_is_over():
    box = outbox(most_alerts=2)
    for task in "abc":
        box.add(1, silent(task), NOON)

    assert tasks(box.next(NOON)) == ["a", "b"]
    box.sent()
    assert box.next(NOON) is None
    assert tasks(box.next(NOON + 30)) == ["c"]


def test_beyond_the_rate_alerts_gather():
    box = outbox(per_minute=1.0, burst=1)
    box.add(1, silent("a"), NOON)
    assert tasks(box.next(NOON + 30)) == ["a"]
    box.sent()
    box.add(1, silent("b"), NOON + 31)
    assert box.next(NOON + 70) is None
    box.add(1, silent("c"), NOON + 71)

    assert tasks(box.next(NOON + 90)) == ["b", "c"]


def test_a_bucket_holds_no_more_than_its_burst():
    bucket = TokenBucket(1.0, 2)

    assert [bucket.take(at_s) for at_s in (0, 0, 0, 1, 1, 1000, 1000, 1000)] == [
        *(True, True, False),
        *(True, False),
        *(True, True, False),
    ]


def test_a_clock_that_is_set_back_takes_no_tokens():
    bucket = TokenBucket(1.0, 1)
    bucket.take(1_000)

    assert [bucket.take(0), bucket.take(1)] == [False, True]


def test_quiet_hours_hold_alerts_until_they_end_and_let_others_pass():
    evening = datetime(2026, 11, 23, 22, tzinfo=UTC).timestamp()
    box = outbox(quiet=NIGHTS)
    box.add(0, silent("held", project="asleep"), evening)
    box.add(1, silent("told"), evening)

    assert tasks(box.next(evening + 30)) == ["told"]
    box.sent()
    assert box.next(evening + 8 * 3600 - 1) is None
    assert box.held(evening + 60) == 1
    assert tasks(box.next(evening + 8 * 3600)) == ["held"]


def test_an_attempt_that_failed_is_made_again_after_a_pause_that_doubles_to_a_minute():
    box = outbox()
    box.add(1, silent("a"), NOON)
    first = box.next(NOON + 30)
    assert box.failed(NOON + 30)
    assert box.next(NOON + 30.9) is None

    assert box.next(NOON + 31) == first
    assert [retry_pause_s(each) for each in (1, 2, 3, 7, 1_000)] == [1, 2, 4, LONGEST_RETRY_S, LONGEST_RETRY_S]


def test_a_pause_that_the_receiver_asks_for_is_granted():
    box = outbox()
    box.add(1, silent("a"), NOON)
    box.next(NOON + 30)
    assert box.failed(NOON + 30, pause_s=20.0)

    assert box.next(NOON + 49) is None
    assert box.next(NOON + 50) is not None


def test_a_notification_is_given_up_when_the_next_attempt_would_be_too_late():
    box = outbox(give_up_s=10.0)
    box.add(1, silent("a"), NOON)
    box.next(NOON + 30)
    assert box.failed(NOON + 38)
    box.next(NOON + 39)
    assert not box.failed(NOON + 39)
    assert tasks(box.given_up()) == ["a"]
    assert box.waiting == 0


def test_alerts_of_partitions_that_went_are_dropped_also_from_a_notification_that_waits():
    box = outbox()
    box.add(1, silent("a", 1), NOON)
    box.add(1, silent("b", 2), NOON)
    box.next(NOON + 30)
    box.failed(NOON + 30)
    box.add(1, silent("c", 3), NOON + 30)
    box.drop(lambda origin: origin.offset == 2)

    assert tasks(box.next(NOON + 31)) == ["b"]
    assert box.waiting == 1


def oncall() -> Outbox:
    receiver = Receiver(name="r", type=ReceiverType.ALERTMANAGER, url="http://r", resend_s=60.0)
    return Outbox(receiver, (Route(("r",)),), 30.0, 100)


def of(signal: str, before: str, after: str, task: str):
    return alerts_of(raised(signal, before, after, task_id=task, raised_at=round(NOON * 1_000_000)), SignalPlace(0, 1))


def test_an_alertmanager_is_reminded_of_what_has_not_ended():
    box = oncall()
    for task in "ab":
        box.told_before(*of("SILENT", "OK", "SILENT", task))
    box.told_before(*of("RESUMED", "SILENT", "OK", "b"))
    reminder = box.next(NOON)

    assert (reminder.reminder, tasks(reminder)) == (True, ["a"])
    box.sent()
    assert box.next(NOON + 59) is None
    assert tasks(box.next(NOON + 60)) == ["a"]
    assert not box.failed(NOON + 60), "the next reminder is another"
    box.given_up()
    box.keep_told({1})
    assert box.next(NOON + 120) is None


def test_what_is_told_is_reminded_of_until_it_is_too_old():
    box = oncall()
    for alert in of("SILENT", "OK", "SILENT", "a"):
        box.add(0, alert, NOON)
    box.next(NOON + 30)
    box.sent()

    assert tasks(box.next(NOON + 91)) == ["a"]
    box.sent()
    assert box.next(NOON + 8 * 86_400) is None


def ended(task: str, offset: int = 0):
    (alert,) = alerts_of(raised("RESUMED", "SILENT", "OK", task_id=task), SignalPlace(0, offset))
    return alert


def test_a_muted_task_alerts_when_the_mute_ends_if_it_is_still_in_trouble():
    muted = {"a"}
    box = outbox(muted=muted)
    box.add(1, silent("a"), NOON)
    box.add(1, silent("b"), NOON)

    assert tasks(box.next(NOON + 30)) == ["b"]
    box.sent()
    assert box.next(NOON + 3600) is None
    assert (box.unsaid(), box.waiting) == ([], 1)
    muted.clear()
    assert tasks(box.next(NOON + 3600)) == ["a"]


def test_a_trouble_that_begins_and_ends_while_the_task_is_muted_is_told_to_nobody_and_settled():
    box = outbox(muted={"a"})
    box.add(1, silent("a", 1), NOON)
    assert box.next(NOON + 30) is None
    box.add(1, ended("a", 2), NOON + 40)

    assert box.next(NOON + 70) is None
    assert [each.origin.offset for each in box.unsaid()] == [1, 2]
    assert (box.unsaid(), box.waiting) == ([], 0)


def test_the_end_of_what_was_told_before_the_mute_is_told():
    muted: set[str] = set()
    box = outbox(muted=muted)
    box.add(1, silent("a"), NOON)
    box.next(NOON + 30)
    box.sent()
    muted.add("a")
    box.add(1, ended("a"), NOON + 60)

    assert [each.status for each in box.next(NOON + 90).alerts] == ["resolved"]


def test_what_happens_at_one_time_is_told_to_nobody_while_the_task_is_muted():
    (alert,) = alerts_of(raised("RESET", "OK", "OK", task_id="a"), SignalPlace(0, 3))
    box = outbox(muted={"a"})
    box.add(1, alert, NOON)

    assert box.next(NOON + 30) is None
    assert box.unsaid() == [alert]

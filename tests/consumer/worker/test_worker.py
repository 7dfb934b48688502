"""The worker's life on a Kafka in memory: commits, aborts, lost producers, rebalances, and how it ends."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

from taskstream.consumer.errors import (
    CallUnanswered,
    InstanceFenced,
    KafkaFailed,
    OffsetsGone,
    OffsetsMoved,
    ProducerLost,
    StreamGap,
    TooManyRejected,
    TransactionAborted,
)
from taskstream.consumer.kafka.in_memory.broker import InMemoryBroker, InMemoryRecord
from taskstream.consumer.state.series_table import Settings
from taskstream.consumer.worker.lifecycle import WorkerState
from tests.consumer.worker.workers import (
    COMMIT_S,
    START_US,
    TOPICS,
    WorkerInMemory,
    events,
    nothing,
    publish,
    published,
    undisturbed,
)
from tests.pipeline.streams import report

REPORTS = events(200)
JOIN = nothing
"""The first step joins the group and gets the partitions."""


@pytest.fixture
def broker() -> InMemoryBroker:
    return InMemoryBroker(TOPICS.partitions)


@pytest.fixture
def worker(broker: InMemoryBroker) -> WorkerInMemory:
    return WorkerInMemory(broker)


def ends(broker: InMemoryBroker) -> dict[tuple[str, int], int]:
    name = TOPICS.progress.name
    return {(name, partition): log.end for partition, log in enumerate(broker.log(name))}


class TestCommit:
    """Rows, windows, signals and offsets become visible together."""

    def test_it_waits_for_the_commit_interval(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS), worker.wait(COMMIT_S / 2), worker.note(lambda: published(broker)))
        (before,) = worker.notes
        assert not any(before.values())
        assert worker.count(WorkerState.COMMITTING) == 1

    def test_all_of_it_is_committed_after_the_interval(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS), worker.wait(), worker.note(lambda: published(broker)))
        assert worker.notes == [undisturbed(REPORTS)]
        assert broker.committed == ends(broker)
        assert worker.metric("aborted_total") == 0

    def test_any_split_into_commits_gives_the_same(self, worker, broker):
        parts = [worker.publish(REPORTS[begin : begin + 50]) for begin in range(0, 200, 50)]
        worker.run(JOIN, *itertools.chain.from_iterable((part, worker.wait()) for part in parts))
        assert published(broker) == undisturbed(REPORTS)
        assert worker.count(WorkerState.COMMITTING) == 4

    def test_many_changed_rows_are_committed_at_once(self, broker):
        worker = WorkerInMemory(broker, commit_rows=1)
        worker.run(JOIN, worker.publish(REPORTS), worker.note(lambda: worker.state))
        assert worker.notes == [WorkerState.IDLE]

    def test_without_events_nothing_is_committed(self, worker, broker):
        worker.run(JOIN, worker.wait(), worker.wait(10.0))
        assert worker.count(WorkerState.COMMITTING) == 0
        assert broker.committed == {}

    def test_unreadable_records_are_rejected_with_their_origin(self, worker, broker):
        worker.run(JOIN, worker.publish([("p/t", b"not ours"), *REPORTS]))
        (reject,) = [message for log in broker.log(TOPICS.rejected.name) for message in log.messages]
        headers = dict(reject.headers())
        assert (reject.key(), reject.value()) == (b"p/t", b"not ours")
        assert headers["taskstream_offset"] == b"0"
        assert headers["taskstream_topic"] == TOPICS.progress.name.encode()


class TestAbort:
    """Rows and positions go back, and the events are folded again."""

    @pytest.mark.parametrize("call", ["send", "commit"])
    def test_the_events_are_folded_again_with_the_same_result(self, worker, broker, call):
        worker.transaction.fail(call, TransactionAborted(call))
        worker.run(JOIN, worker.publish(REPORTS), worker.wait(), nothing)
        assert worker.metric("aborted_total") == 1
        assert worker.metric("events_total") == 2 * len(REPORTS)
        assert published(broker) == undisturbed(REPORTS)

    def test_what_was_committed_before_stays(self, worker, broker):
        fail = worker.fail("commit", TransactionAborted("once"))
        more = worker.publish(REPORTS[100:])
        worker.run(JOIN, worker.publish(REPORTS[:100]), worker.wait(), fail, more, worker.wait(), nothing)
        assert worker.metric("aborted_total") == 1
        assert published(broker) == undisturbed(REPORTS)

    def test_rows_and_positions_are_as_committed_meanwhile(self, worker):
        worker.transaction.fail("commit", TransactionAborted("once"))
        note = worker.note(lambda: (len(worker.work.table), worker.source.positions, worker.state))
        worker.run(JOIN, worker.publish(REPORTS), worker.wait(), note)
        assert worker.notes == [(0, {0: 0, 1: 0}, WorkerState.IDLE)]

    def test_offsets_of_a_member_that_its_group_removed_are_refused(self, worker, broker):
        steps = iter([JOIN, worker.publish(REPORTS)])

        def stopping() -> bool:
            action = next(steps, None)
            (action or worker.expel)()
            return action is None

        worker.worker.run(stopping)
        assert worker.metric("aborted_total") == 1
        assert not any(published(broker).values())

    def test_twenty_in_a_row_are_borne_and_one_more_is_an_error(self, worker):
        worker.fail("commit", TransactionAborted("always"), times=21)()
        with pytest.raises(KafkaFailed, match="20 consecutive transactions were aborted, the last: always"):
            worker.run(JOIN, worker.publish(REPORTS), *[worker.wait()] * 42)
        assert worker.count(WorkerState.ABORTING) == 21
        assert worker.state is WorkerState.FAILED

    def test_a_commit_begins_the_count_anew(self, worker, broker):
        twenty = worker.fail("commit", TransactionAborted("again"), times=20)
        steps = [worker.wait()] * 41
        worker.run(JOIN, twenty, worker.publish(REPORTS[:100]), *steps, twenty, worker.publish(REPORTS[100:]), *steps)
        assert worker.count(WorkerState.ABORTING) == 40
        assert published(broker) == undisturbed(REPORTS)


class TestLostProducer:
    """A new producer, and everything is read back: only Kafka knows what happened."""

    def test_a_commit_that_did_not_happen_is_made_again(self, worker, broker):
        worker.transaction.fail("commit", ProducerLost("gone"))
        worker.run(JOIN, worker.publish(REPORTS), worker.wait(), nothing)
        assert worker.metric("producers_total") == 1
        assert worker.state_reader.read == [[0, 1], [0, 1]]
        assert published(broker) == undisturbed(REPORTS)

    def test_a_commit_that_happened_is_not_made_again(self, worker, broker):
        worker.transaction.fail("committed", ProducerLost("the answer is lost"))
        worker.run(JOIN, worker.publish(REPORTS), worker.wait(), worker.note(lambda: len(worker.work.table)), nothing)
        assert worker.metric("events_total") == len(REPORTS)
        assert worker.notes == [len(undisturbed(REPORTS)["rows"])]
        assert published(broker) == undisturbed(REPORTS)

    def test_the_offsets_are_asked_before_the_state_is_read(self, worker):
        worker.transaction.fail("commit", ProducerLost("gone"))
        worker.run(JOIN, worker.calls.clear, worker.publish(REPORTS), worker.wait())
        assert worker.calls == ["ask", "rewind", "restore"]

    def test_an_abort_that_loses_the_producer_rebuilds(self, worker, broker):
        worker.transaction.fail("commit", TransactionAborted("first"))
        worker.transaction.fail("abort", ProducerLost("then"))
        worker.run(JOIN, worker.publish(REPORTS), worker.wait(), nothing)
        assert worker.count(WorkerState.ABORTING) == worker.count(WorkerState.REBUILDING) == 1
        assert published(broker) == undisturbed(REPORTS)

    def test_five_within_two_minutes_are_borne_and_one_more_is_an_error(self, worker):
        worker.fail("commit", ProducerLost("again"), times=6)()
        with pytest.raises(InstanceFenced, match="lost 5 times within 120 s: again"):
            worker.run(JOIN, worker.publish(REPORTS), *[worker.wait()] * 12)
        assert worker.count(WorkerState.REBUILDING) == 6

    def test_calls_that_were_not_answered_do_not_count(self, worker, broker):
        worker.fail("commit", CallUnanswered("again"), times=10)()
        worker.run(JOIN, worker.publish(REPORTS), *[worker.wait()] * 24)
        assert worker.count(WorkerState.REBUILDING) == 10
        assert published(broker) == undisturbed(REPORTS)

    def test_those_of_long_ago_do_not_count(self, worker, broker):
        worker.fail("commit", ProducerLost("again"), times=10)()
        worker.run(JOIN, worker.publish(REPORTS), *[worker.wait(25.0)] * 24)
        assert worker.count(WorkerState.REBUILDING) == 10
        assert published(broker) == undisturbed(REPORTS)

    def test_a_producer_that_another_one_fenced_is_replaced(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS), lambda: broker.new_epoch("w"), worker.wait(), nothing)
        assert worker.count(WorkerState.REBUILDING) == 1
        assert published(broker) == undisturbed(REPORTS)

    def test_kafka_that_does_not_answer_the_new_producer_ends_it(self, worker):
        worker.transaction.fail("commit", ProducerLost("gone"))
        worker.transaction.fail("renew", KafkaFailed("no answer"))
        with pytest.raises(KafkaFailed, match="no answer"):
            worker.run(JOIN, worker.publish(REPORTS), worker.wait())
        assert worker.state is WorkerState.FAILED


class TestRebalance:
    """Nothing is open when partitions have moved."""

    def test_what_is_open_is_committed_before_partitions_are_given_up(self, worker, broker):
        joins = lambda: broker.join(None)  # noqa: E731 (another member)
        worker.run(
            JOIN, worker.publish(REPORTS), joins, worker.note(lambda: (published(broker), len(worker.work.table)))
        )
        ((found, series),) = worker.notes
        assert found == undisturbed(REPORTS)
        kept = {key for key, (partition, _) in found["rows"].items() if partition == 0}
        assert series == len(kept) < len(found["rows"])

    def test_two_workers_fold_as_one(self, worker, broker):
        other = WorkerInMemory(broker, "other")
        worker.begin()
        worker.step()
        publish(broker, REPORTS[:100])
        worker.step()
        other.begin()
        for each in (other, worker, other, worker):
            each.step()
        publish(broker, REPORTS[100:])
        for each in (other, worker):
            each.step()
            each.work.commit()
        assert other.metric("events_total") > 0
        assert published(broker) == undisturbed(REPORTS)

    def test_an_abort_while_partitions_are_given_up_leaves_the_work_to_the_next(self, worker, broker):
        def join_and_fail() -> None:
            broker.join(None)
            worker.transaction.fail("commit", TransactionAborted("in the rebalance"))

        worker.run(JOIN, worker.publish(REPORTS), join_and_fail, nothing)
        assert worker.count(WorkerState.ABORTING) == 1
        assert {partition for partition, _ in published(broker)["rows"].values()} == {0}

    def test_lost_partitions_roll_back_what_is_open(self, worker, broker):
        note = worker.note(lambda: (published(broker)["rows"], len(worker.work.table), worker.state))
        worker.run(JOIN, worker.publish(REPORTS), worker.expel, note, nothing)
        assert worker.notes == [({}, 0, WorkerState.IDLE)]
        assert worker.metric("aborted_total") == 1
        assert published(broker) == undisturbed(REPORTS)

    def test_lost_partitions_without_open_work_abort_nothing(self, worker):
        worker.run(JOIN, worker.expel, nothing, nothing)
        assert worker.metric("aborted_total") == 0

    def test_an_assignment_restores_the_state_of_its_partitions(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS[:100]))
        again = WorkerInMemory(broker)
        again.run(JOIN, again.publish(REPORTS[100:]))
        assert again.state_reader.read == [[0, 1]]
        assert again.count(WorkerState.RESTORING) == 1
        assert published(broker) == undisturbed(REPORTS)

    def test_a_worker_without_partitions_is_ready(self, broker):
        for _ in range(2):
            broker.join(None)
        worker = WorkerInMemory(broker)
        assert not worker.metrics.ready
        worker.run(JOIN)
        assert worker.metrics.ready
        assert worker.source.positions == {}


class TestEnd:
    """How a run ends, and what is committed then."""

    def test_a_stop_commits_what_is_open_and_leaves_the_group(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS))
        assert published(broker) == undisturbed(REPORTS)
        assert worker.lifecycle.states[-4:] == [
            WorkerState.COMMITTING,
            WorkerState.IDLE,
            WorkerState.STOPPING,
            WorkerState.STOPPED,
        ]
        assert broker.owners == {}
        assert len(worker.work.table) == 0

    def test_a_stop_at_once_is_a_stop(self, worker):
        worker.run()
        assert worker.state is WorkerState.STOPPED

    def test_a_fenced_member_ends_at_once_and_commits_nothing(self, broker):
        worker = WorkerInMemory(broker, instance="same")
        with pytest.raises(InstanceFenced):
            worker.run(JOIN, worker.publish(REPORTS), lambda: broker.join("same"))
        assert worker.state is WorkerState.FAILED
        assert worker.count(WorkerState.ABORTING) == worker.count(WorkerState.REBUILDING) == 0
        assert published(broker)["rows"] == {}

    def test_tasks_too_many_are_rejected_in_the_order_of_the_records_and_never_end_it(self, broker):
        worker = WorkerInMemory(broker, fold=Settings(tasks_per_project=1, partitions=1))
        many = [report(number, START_US + number, 1) for number in range(300)]
        worker.run(JOIN, worker.publish([*many[:150], ("k", b"not ours"), *many[150:]]), worker.wait(), nothing)
        for log in broker.log(TOPICS.rejected.name):
            offsets = [int(dict(each.headers())["taskstream_offset"]) for each in log.messages]
            assert offsets == sorted(offsets)
        assert worker.metric("refused_total") == 300 - TOPICS.partitions
        assert worker.metric("rejected_total") == 1

    def test_too_many_unreadable_records_end_it_and_none_is_rejected(self, worker, broker):
        with pytest.raises(TooManyRejected, match="more than 50% of the last records"):
            worker.run(JOIN, worker.publish([("p/t", b"not ours")] * 300))
        assert worker.state is WorkerState.FAILED
        assert broker.log(TOPICS.rejected.name)[0].end == broker.log(TOPICS.rejected.name)[1].end == 0

    def test_a_schema_id_in_a_header_is_named(self, worker, broker):
        value = REPORTS[0][1]
        headers = [("__value_schema_id", b"\x01" + bytes(16))]
        record = InMemoryRecord(TOPICS.progress.name, b"p/t", value[5:] + b"\xff", 0, headers)
        worker.run(JOIN, worker.publish(REPORTS), lambda: broker.append(record), worker.wait(), nothing)
        (rejected,) = broker.log(TOPICS.rejected.name)[zlib.crc32(b"p/t") % 2].messages
        found = dict(rejected.headers())
        assert found["taskstream_reason"] == b"wrong_magic_byte"
        assert b"the schema id is in the header __value_schema_id" in found["taskstream_detail"]

    def test_a_gap_ends_it(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS))
        for partition, log in enumerate(broker.log(TOPICS.progress.name)):
            broker.truncate(TOPICS.progress.name, partition, log.end)
        publish(broker, REPORTS)
        for partition, log in enumerate(broker.log(TOPICS.progress.name)):
            broker.truncate(TOPICS.progress.name, partition, log.end)
        again = WorkerInMemory(broker)
        with pytest.raises(StreamGap):
            again.run(JOIN)
        assert again.state is WorkerState.FAILED

    def test_state_without_offsets_ends_it(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS))
        broker.committed.clear()
        again = WorkerInMemory(broker)
        with pytest.raises(OffsetsGone, match="would count everything twice"):
            again.run(JOIN)
        assert again.state is WorkerState.FAILED


class TestOffsetsOfAnotherProgram:
    """Offsets without our marker: those of version 0.1 continue, those that were set back do not."""

    PROGRESS = TOPICS.progress.name

    def test_offsets_that_were_set_back_end_it_and_nothing_counts_twice(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS))
        before = published(broker)
        broker.move_offset(self.PROGRESS, 0, 0)
        again = WorkerInMemory(broker)
        with pytest.raises(OffsetsMoved, match=f"{self.PROGRESS}-0 was set back to 0 by another program"):
            again.run(JOIN, nothing)
        assert {**published(broker), "offsets": None} == {**before, "offsets": None}

    def test_one_of_several_that_was_set_back_keeps_no_marker_while_the_others_go_on(self, worker, broker):
        worker.run(JOIN, worker.publish(REPORTS))
        broker.move_offset(self.PROGRESS, 0, 0)
        again = WorkerInMemory(broker)
        again.begin()
        again.source.read(0, 0)
        assert again.source.unproven == {0}
        again.work.drop_series(np.zeros(0, np.int64))
        again.work.commit()
        assert broker.unmarked == {(self.PROGRESS, 0)}

    def test_offsets_of_version_0_1_continue_and_are_marked(self, worker, broker):
        half = len(REPORTS) // 2
        worker.run(JOIN, worker.publish(REPORTS[:half]))
        for (topic, partition), offset in dict(broker.committed).items():
            broker.move_offset(topic, partition, offset)
        again = WorkerInMemory(broker)
        again.run(JOIN, again.publish(REPORTS[half:]), again.wait(), nothing)
        assert broker.unmarked == set()
        assert published(broker)["rows"] == undisturbed(REPORTS)["rows"]


class TestClock:
    """What is decided by the clock, once a second and every half minute."""

    def test_a_silent_series_is_marked_once_and_only_when_all_is_read(self, worker, broker):
        def later() -> None:
            worker.wall_us = START_US + 86_400_000_000
            worker.now_s += 1.0

        worker.run(JOIN, worker.publish(REPORTS), later, later, later)
        silent = len(published(broker)["signals"])
        assert silent > 0
        assert sum(map(len, published(broker)["signals"].values())) > sum(
            map(len, undisturbed(REPORTS)["signals"].values())
        )

    def test_series_without_reports_for_a_week_get_a_tombstone_and_leave_the_table(self, worker, broker):
        def much_later() -> None:
            worker.wall_us = START_US + 30 * 86_400_000_000
            worker.now_s += 30.0

        note = worker.note(lambda: len(worker.work.table))
        worker.run(JOIN, worker.publish(REPORTS), worker.wait(), much_later, note)
        assert worker.notes == [0]
        assert {value for _, value in published(broker)["rows"].values()} == {None}

    def test_it_is_called_once_a_second(self, worker):
        worker.run(*[worker.wait(0.5)] * 8)
        assert worker.seconds == [1.0, 2.0, 3.0, 4.0]

"""What an administrator does to the topics under a view: no task stays that is on no topic, and the page says what is wrong."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

from taskstream.compose.kafka_client import KafkaClient
from tests.consumer.view.views import StateTopic, new_state_topic, now_us, running_view, series, signal
from tests.pipeline.worker.test_worker_topics import add_partitions, recreate
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def admin(broker: KafkaClient) -> AdminClient:
    return AdminClient(broker.config())


def test_the_tasks_of_a_state_topic_that_is_made_anew_go_and_new_ones_come(broker, admin, tmp_path):
    states = new_state_topic(broker)
    states.put({"project-1/t-1/S": series(now_us()), "project-1/t-2/S": series(now_us())})
    states.tell(signal(now_us()))
    with running_view(broker, states.topics.prefix, tmp_path) as view:
        wait_until(lambda: view.shown("/v3/tasks")["count"] == 2)
        wait_until(lambda: view.shown("/tasks/t-1")["signals"])
        recreate(broker, admin, states.topics, states.topics.state.name)
        wait_until(lambda: view.get("/v3/tasks/t-1").status == 404)
        again = StateTopic(broker, states.topics)
        again.put({"project-1/t-3/S": series(now_us())})
        wait_until(lambda: view.get("/readyz").status == 200 and view.shown("/v3/tasks")["count"] == 1)
        recreate(broker, admin, states.topics, states.topics.signals.name)
        again.put({"project-1/t-1/S": series(now_us())})
        wait_until(lambda: view.get("/tasks/t-1").status == 200 and not view.shown("/tasks/t-1")["signals"])
        again.tell(signal(now_us()))
        wait_until(lambda: len(view.shown("/tasks/t-1")["signals"]) == 1)
        assert "begun anew" in view.log.read_text()
        assert view.stop() == 0


def test_partitions_that_are_added_are_told_and_read(broker, admin, tmp_path):
    states = new_state_topic(broker, partitions=2)
    states.put({"project-1/t-1/S": series(now_us())})
    with running_view(broker, states.topics.prefix, tmp_path) as view:
        add_partitions(admin, 3, states.topics.progress.name)
        words = f"{states.topics.progress.name} has 3 partitions and {states.topics.state.name} has 2: the number"
        wait_until(lambda: words in view.get("/readyz").json()["checks"]["kafka"])
        assert view.shown("/v3/tasks")["count"] == 1
        add_partitions(admin, 3, states.topics.state.name)
        wait_until(lambda: view.get("/readyz").status == 200 and view.get("/readyz").json()["checks"]["kafka"] == "ok")
        StateTopic(broker, states.topics).put_in(2, "project-1/t-2/S", series(now_us()))
        wait_until(lambda: view.shown("/v3/tasks")["count"] == 2)

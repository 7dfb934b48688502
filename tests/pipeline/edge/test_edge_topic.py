"""An edge whose topic of reports is gone or refuses them is not ready, although its probes go to a topic that works."""

from __future__ import annotations

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from taskstream.compose.local.local_kafka import LocalKafka
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.topics import Topics
from tests.brokers import set_topic
from tests.producer.edges import RunningEdge, running_edge
from tests.waiting import LIMIT_S, wait_until


def readyz(edge: RunningEdge) -> tuple[int, str]:
    answer = edge.get("/readyz")
    return answer.status, answer.json()["checks"]["topic"]


def test_an_edge_whose_topic_is_deleted_is_unready_names_it_and_is_ready_when_it_is_there_again(
    broker, topic_prefix, tmp_path
):
    topics = Topics(topic_prefix, partitions=2)
    create_topics(broker.config(), topics)
    with running_edge(broker, topic_prefix, tmp_path) as edge:
        assert edge.put().status == 200
        admin = AdminClient(broker.config())
        for answer in admin.delete_topics([topics.progress.name]).values():
            answer.result(LIMIT_S)
        wait_until(lambda: readyz(edge)[0] == 503)
        assert (
            readyz(edge)[1] == f"the topic {topics.progress.name} does not exist; `taskstream topics create` creates it"
        )
        refused = edge.put()
        assert (refused.status, topics.progress.name in refused.json()["error_msg"]) == (503, True)
        create_topics(broker.config(), topics)
        wait_until(lambda: readyz(edge) == (200, "ok"))
        wait_until(lambda: edge.put().status == 200)


def test_an_edge_whose_topic_refuses_every_time_is_unready_after_the_first_report(broker, topic_prefix, tmp_path):
    topics = Topics(topic_prefix, partitions=2)
    create_topics(broker.config(), topics)
    hours = tmp_path / "hours"
    hours.write_text("-0.5")  # less than what the check of the clock finds
    with running_edge(broker, topic_prefix, tmp_path, clock_ahead=hours) as edge:
        wait_until(lambda: readyz(edge)[0] == 200)
        assert edge.put().status == 200
        set_topic(broker, topics.progress.name, "message.timestamp.before.max.ms", "60000")
        wait_until(lambda: edge.put().status == 503 and readyz(edge)[0] == 503)
        assert readyz(edge)[1].startswith(f"the topic {topics.progress.name} refuses reports: INVALID_TIMESTAMP")
        set_topic(broker, topics.progress.name, "message.timestamp.before.max.ms", "3600000000")
        wait_until(lambda: edge.put().status == 200)
        wait_until(lambda: readyz(edge) == (200, "ok"))


AUTHORIZER = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""


class KafkaWithAcls(LocalKafka):
    """A broker that checks rights."""

    def prepare(self) -> list[str]:
        command = super().prepare()
        with (self.data_dir / "server.properties").open("a") as properties:
            properties.write(AUTHORIZER)
        return command


def acl(topic: str, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
    whole = ResourcePatternType.LITERAL
    return AclBinding(ResourceType.TOPIC, topic, whole, "User:ANONYMOUS", "*", operation, permission)


def test_an_edge_that_may_not_write_to_its_topic_is_unready_and_names_the_right(
    topic_prefix, tmp_path, kafka_cache_dir
):
    topics = Topics(topic_prefix, partitions=2)
    with KafkaWithAcls(tmp_path / "kafka", cache_dir=kafka_cache_dir, heap="512m") as kafka:
        create_topics(kafka.client.config(), topics)
        admin = AdminClient(kafka.client.config(log_level=0))
        denied = acl(topics.progress.name, AclOperation.WRITE, AclPermissionType.DENY)
        others = acl(topics.progress.name, AclOperation.ALL, AclPermissionType.ALLOW)
        for answer in admin.create_acls([others]).values():
            answer.result(LIMIT_S)
        with running_edge(kafka.client, topic_prefix, tmp_path) as edge:
            wait_until(lambda: readyz(edge) == (200, "ok"))
            for answer in admin.create_acls([denied]).values():
                answer.result(LIMIT_S)
            wait_until(lambda: readyz(edge)[0] == 503)
            told = f"may not write to the topic {topics.progress.name}: grant"
            wait_until(lambda: told in readyz(edge)[1])
            assert told in edge.put().json()["error_msg"]
            only = AclBindingFilter(
                ResourceType.TOPIC,
                topics.progress.name,
                ResourcePatternType.LITERAL,
                None,
                None,
                AclOperation.WRITE,
                AclPermissionType.DENY,
            )
            for answer in admin.delete_acls([only]).values():
                answer.result(LIMIT_S)
            wait_until(lambda: readyz(edge) == (200, "ok"))
            wait_until(lambda: edge.put().status == 200)

"""A request that the network keeps back, and that its client sends again meanwhile, ends no later transaction."""

from __future__ import annotations

from pathlib import Path

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from taskstream.compose.local.local_cluster import LocalCluster
from taskstream.compose.local.ports import free_ports
from taskstream.consumer.kafka.transaction import Transaction
from tests.consumer.kafka.test_transaction import NoWatch
from tests.pipeline.cluster.proxies import Harm, Proxies
from tests.pipeline.streams import read_all
from tests.waiting import wait_until

TOPIC = "records"
PROXY = "PROXIED://127.0.0.1"


def test_an_end_that_arrives_late_does_not_end_the_next_transaction(kafka_cache_dir: Path, tmp_path: Path):
    proxy, behind = free_ports(2)

    def proxied(_node: int, port: int, controller: int) -> dict[str, str]:
        own = f"PLAINTEXT://127.0.0.1:{port}"
        return {
            "listeners": f"{own},CONTROLLER://127.0.0.1:{controller},{PROXY}:{behind}",
            "advertised.listeners": f"{own},{PROXY}:{proxy}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
        }

    cluster = LocalCluster(tmp_path / "kafka", brokers=1, cache_dir=kafka_cache_dir, properties=proxied)
    with Proxies({proxy: behind}) as proxies, cluster:
        bootstrap = cluster.bootstrap_servers

        class FirstEndKeptBack(Producer):
            """The first request to end a transaction is kept back."""

            is_first = True

            def commit_transaction(self, timeout: float) -> None:
                if FirstEndKeptBack.is_first:
                    FirstEndKeptBack.is_first = False
                    proxies.harm([proxy], Harm.LATE)
                super().commit_transaction(timeout)

        def values(isolation: str) -> list[bytes | None]:
            return [message.value() for message in read_all(bootstrap, TOPIC, isolation)]

        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_topics([NewTopic(TOPIC, 1)])[TOPIC].result()
        member = Consumer({"bootstrap.servers": bootstrap, "group.id": "readers"})
        member.poll(0)
        config = {"bootstrap.servers": f"127.0.0.1:{proxy}"}
        with Transaction(config, "id", NoWatch(), FirstEndKeptBack) as transaction:
            transaction.send(TOPIC, "key", b"first", 0)
            transaction.commit(TOPIC, {0: 1}, member.consumer_group_metadata())
            assert not FirstEndKeptBack.is_first
            transaction.send(TOPIC, "key", b"second", 0)
            wait_until(lambda: values("read_uncommitted") == [b"first", b"second"])
            assert proxies.kept_back(proxy) > 0
            proxies.harm([proxy], None)
            wait_until(lambda: proxies.kept_back(proxy) == 0)  # the broker has read it, and closed the connection
            transaction.abort()
        member.close()
        assert values("read_committed") == [b"first"]

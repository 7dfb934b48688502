"""Tests whether a server answers, in its own protocol. It starts and stops nothing."""

from __future__ import annotations

import urllib3
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from taskstream.compose.kafka_client import KafkaClient

QUIET = {"log_level": 0, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200}


def kafka_answers(client: KafkaClient, timeout_s: float) -> bool:
    """Whether the cluster answers a metadata request within `timeout_s` and lists at least one broker."""
    admin = AdminClient(client.config(**QUIET))
    try:
        return bool(admin.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False


def http_answers(url: str, timeout_s: float) -> bool:
    """Whether a GET of `url` answers 200 within `timeout_s`."""
    try:
        return urllib3.request("GET", url, timeout=timeout_s, retries=False, redirect=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False

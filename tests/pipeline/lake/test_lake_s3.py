"""A lake in an object store: moto's server, on loopback."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator

import pyarrow.dataset as ds
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from taskstream.compose.kafka_client import KafkaClient
from taskstream.consumer.lake.lake_store import LakeStore, published
from taskstream.consumer.lake.lake_writer import LakeWriter
from taskstream.schemas.topics import Topics
from tests.consumer.lake.lakes import rows
from tests.consumer.lake.test_lake_writer import PIECES, ROWS, write_on
from tests.pipeline.lake.test_lake import arguments, fill, kill_again_and_again, on_topic
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.slow

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def bucket(endpoint: str, topic_prefix: str) -> tuple[fs.S3FileSystem, str]:
    filesystem = fs.S3FileSystem(
        access_key="a", secret_key="b", endpoint_override=endpoint, scheme="http", allow_bucket_creation=True
    )
    filesystem.create_dir(topic_prefix)
    return filesystem, topic_prefix


def in_bucket(filesystem: fs.S3FileSystem, root: str, noun: str) -> list[tuple[int, int]]:
    found = published(filesystem, root, noun)
    if not found:
        return []
    table = ds.dataset(found, filesystem=filesystem).to_table(columns=["partition", "offset"])
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_files_are_committed_published_and_merged_as_in_a_folder(bucket):
    filesystem, root = bucket
    with LakeStore(filesystem, f"{root}/lake") as store:
        write_on(store)

    assert [offset for _, offset in in_bucket(filesystem, f"{root}/lake", "progress")] == list(range(PIECES * ROWS))
    assert len(published(filesystem, f"{root}/lake", "progress")) == 2 * 2
    objects = filesystem.get_file_info(fs.FileSelector(f"{root}/lake/_taskstream", recursive=True))
    assert [each.base_name for each in objects if each.is_file] == [f"{store.current.number:010}.json"]


def test_what_was_staged_and_not_committed_is_removed(bucket):
    filesystem, root = bucket
    with LakeStore(filesystem, f"{root}/lake") as store:
        LakeWriter(store).begin("t.progress", "id", {0: 0})
        table = rows(0, 4)
        store.stage("progress/day=1/project=p", table.schema, iter([table]))

    with LakeStore(filesystem, f"{root}/lake") as store:
        write_on(store)

    assert [offset for _, offset in in_bucket(filesystem, f"{root}/lake", "progress")] == list(range(PIECES * ROWS))


def test_killed_again_and_again_it_has_each_record_once(
    broker: KafkaClient, topics: Topics, bucket: tuple[fs.S3FileSystem, str], endpoint: str
):
    filesystem, root = bucket
    fill(broker, topics, 2_000)
    place = f"s3://{root}/lake?endpoint_override={endpoint}&scheme=http"
    command = [sys.executable, "-m", "taskstream", *arguments(broker, topics, place, "--once", "--piece-rows", "50")]
    rng = random.Random(5)
    environment = os.environ | CREDENTIALS
    kill_again_and_again(
        3,
        lambda: subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL),
        written=lambda: {*published(filesystem, f"{root}/lake", "progress")},
        enough=lambda: rng.randrange(1, 10),
        seen=lambda: in_bucket(filesystem, f"{root}/lake", "progress"),
        forget=lambda: filesystem.delete_dir(f"{root}/lake"),
    )

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    assert done.returncode == 0, done.stderr
    for noun in ("progress", "rates", "signals"):
        assert in_bucket(filesystem, f"{root}/lake", noun) == on_topic(broker, topics, noun)

"""`taskstream lake --iceberg` on a real broker: what a reader of the tables counts is what the topics have."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs
from pyiceberg.catalog import Catalog, load_catalog

from taskstream.compose.kafka_client import KafkaClient
from taskstream.schemas.topics import Topics
from tests.pipeline.lake.test_lake import (
    NOUNS,
    arguments,
    fill,
    kill_again_and_again,
    on_topic,
    once,
    send_both_versions,
)
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.slow


def catalog(folder: Path, **properties: str) -> Catalog:
    """As a reader opens it who knows nothing of us."""
    return load_catalog("taskstream", uri=f"sqlite:///{folder}/catalog.db", **properties)


def in_tables(found: Catalog, topics: Topics, noun: str) -> list[tuple[int, int]]:
    """Partition and offset of each record."""
    name = f"{topics.prefix}.{noun}"
    if not found.table_exists(name):
        return []
    table = found.load_table(name).scan(selected_fields=("partition", "offset")).to_arrow()
    return sorted(zip(*(table[each].to_pylist() for each in ("partition", "offset")), strict=True))


def require_equal(broker: KafkaClient, topics: Topics, found: Catalog) -> None:
    for noun in NOUNS:
        assert in_tables(found, topics, noun) == on_topic(broker, topics, noun), noun


def test_each_record_is_in_its_table_once_and_a_second_run_adds_what_is_new(broker, topics, tmp_path, monkeypatch):
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    fill(broker, topics, 1_000)

    result = once(broker, topics, tmp_path, "--iceberg", "--piece-rows", "300")

    assert result.exit_code == 0, result.output
    assert f"1,000 of {topics.progress.name}" in result.stderr
    with catalog(tmp_path) as found:
        require_equal(broker, topics, found)
        table = found.load_table(topics.progress.name)
        assert table.schema().find_field("replicatesize").doc.endswith("Unit: B.")
        assert pl.scan_iceberg(table).select(pl.len()).collect().item() == 1_000
    fill(broker, topics, 300, seed=2)
    assert once(broker, topics, tmp_path, "--iceberg").exit_code == 0
    with catalog(tmp_path) as found:
        require_equal(broker, topics, found)
    files = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*.*") if each.is_file()}
    assert once(broker, topics, tmp_path, "--iceberg").exit_code == 0

    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*.*") if each.is_file()} == files


def begin_anew(folder: Path) -> None:
    for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()


def test_killed_again_and_again_it_has_each_record_once(broker, topics, tmp_path):
    """Each kill is at another moment: after a random number of data files, some of them in no snapshot yet."""
    fill(broker, topics, 10_000)
    rng = random.Random(7)
    command = [sys.executable, "-m", "taskstream"]
    command += arguments(broker, topics, tmp_path, "--iceberg", "--once", "--piece-rows", "200")

    def seen() -> list[tuple[int, int]]:
        with catalog(tmp_path) as found:
            return in_tables(found, topics, "progress")

    kill_again_and_again(
        4,
        lambda: subprocess.Popen(command, stderr=subprocess.DEVNULL),
        written=lambda: {*tmp_path.rglob("*.parquet")},
        enough=lambda: rng.randrange(2, 40),
        seen=seen,
        forget=lambda: begin_anew(tmp_path),
    )

    assert once(broker, topics, tmp_path, "--iceberg").exit_code == 0

    with catalog(tmp_path) as found:
        require_equal(broker, topics, found)


def test_both_schema_versions_and_a_broken_record_between_them(broker, topics, tmp_path):
    newer = send_both_versions(broker, topics)

    result = once(broker, topics, tmp_path, "--iceberg")

    assert result.exit_code == 3, result.output
    assert "1 could not be read" in result.stderr
    with catalog(tmp_path) as found:
        rows = found.load_table(topics.progress.name).scan().to_arrow().sort_by("offset")
    assert rows.select(["offset", "agent_time"]).to_pylist() == [
        {"offset": 0, "agent_time": None},
        {"offset": 2, "agent_time": newer["agent_time"]},
    ]


def test_tables_in_an_object_store_have_their_catalogue_elsewhere(broker, topics, tmp_path, topic_prefix):
    fill(broker, topics, 200)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"{host}:{port}"
        fs.S3FileSystem(
            access_key="a", secret_key="b", endpoint_override=endpoint, scheme="http", allow_bucket_creation=True
        ).create_dir(topic_prefix)
        place = f"s3://{topic_prefix}/lake?endpoint_override={endpoint}&scheme=http"
        more = ["--iceberg", "--once", "--catalog", f"sqlite:///{tmp_path}/catalog.db"]
        done = subprocess.run(
            [sys.executable, "-m", "taskstream", *arguments(broker, topics, place, *more)],
            env=os.environ | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        of_store = {"s3.endpoint": f"http://{endpoint}", "s3.region": "us-east-1"}
        keys = {"s3.access-key-id": "a", "s3.secret-access-key": "b"}
        with catalog(tmp_path, **of_store, **keys) as found:
            require_equal(broker, topics, found)
    finally:
        server.stop()


@pytest.mark.parametrize(
    "wrong", [["--catalog", "sqlite:///c.db"], ["--iceberg", "--to", "s3://bucket/lake"]], ids=["format", "catalogue"]
)
def test_wrong_words_are_wrong_usage(broker, topics, tmp_path, wrong):
    assert once(broker, topics, tmp_path, *wrong).exit_code == 2


def test_without_pyiceberg_it_says_how_to_install_it(tmp_path):
    (tmp_path / "pyiceberg.py").write_text("raise ImportError('not here')\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from taskstream.compose.cli import main; main()"

    words = ["--iceberg", "--to", str(tmp_path / "lake"), "--bootstrap-servers", "127.0.0.1:1"]

    done = subprocess.run(
        [sys.executable, "-c", program, "lake", *words],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == (
        "Error: an Iceberg lake needs pyiceberg, which is not installed; "
        "`pip install 'taskstream[iceberg]'` installs it\n"
    )
    assert not (tmp_path / "lake").exists()

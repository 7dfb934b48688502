"""Each right that a part of the pipeline lacks is named: who may not do what to what."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from taskstream.compose.cli import cli
from taskstream.compose.topic_admin import create_topics
from taskstream.schemas.access import PARTS, Grant
from taskstream.schemas.topics import Topics
from tests.consumer.view.views import StateTopic, now_us, running_view, series
from tests.pipeline.secured import SecuredBroker, secured_broker, sentence
from tests.pipeline.streams import Fleet, committed, send, words, worker
from tests.producer.edges import running_edge
from tests.waiting import LIMIT_S, wait_until

pytestmark = pytest.mark.slow
EVENTS = 50


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kafka_cache_dir) -> Iterator[SecuredBroker]:
    with secured_broker(tmp_path_factory.mktemp("secured"), kafka_cache_dir) as broker:
        yield broker


@pytest.fixture
def topics(secured: SecuredBroker, topic_prefix: str) -> Topics:
    made = Topics(topic_prefix, partitions=2)
    create_topics(secured.everything.config(), made)
    return made


def topic_rights(topics: Topics, *wanted: tuple[str, str]) -> list[Grant]:
    return [Grant("topic", getattr(topics, name).name, operation) for name, operation in wanted]


def needed(part: str, topics: Topics) -> list[Grant]:
    """What `taskstream topics acls` prints for the part, without the optional ones."""
    return [each for each in PARTS[part](topics, f"{topics.prefix}.worker") if not each.optional]


def test_a_worker_with_its_rights_works_and_names_one_that_is_withdrawn(secured, topics, tmp_path):
    secured.grant(needed("worker", topics))
    fleet = Fleet(tasks=20, seed=1)
    send(secured.everything.bootstrap_servers, topics, (fleet.event() for _ in range(EVENTS)))
    withdrawn = Grant("topic", topics.rates.name, "Write")
    with worker(secured.someone.bootstrap_servers, topics, tmp_path, "w", *secured.options) as process:
        wait_until(lambda: committed(secured.everything.bootstrap_servers, topics) == EVENTS, lambda: words(tmp_path))
        secured.revoke(withdrawn)
        fleet.step_us = 60_000_000
        send(secured.everything.bootstrap_servers, topics, (fleet.event() for _ in range(EVENTS)))
        assert process.wait(LIMIT_S) == 1, words(tmp_path)
    last = words(tmp_path).strip().splitlines()[-1]
    assert sentence(withdrawn) in last


@pytest.mark.parametrize("lacking", range(8))
def test_a_worker_names_the_right_that_it_lacks(secured, topics, tmp_path, lacking):
    rights = needed("worker", topics)
    missing = rights.pop(lacking)
    secured.grant(rights)
    with worker(secured.someone.bootstrap_servers, topics, tmp_path, "w", *secured.options) as process:
        assert process.wait(LIMIT_S) == 1, words(tmp_path)
    last = words(tmp_path).strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert sentence(missing, f"{topics.prefix}.worker.w" if missing.is_prefix else "") in last
    assert "Traceback" not in words(tmp_path)


@pytest.mark.parametrize("lacking", ["progress", "probe"])
def test_an_edge_names_the_topic_that_it_may_not_write_to(secured, topics, tmp_path, lacking):
    given = {"progress": "probe", "probe": "progress"}[lacking]
    secured.grant(topic_rights(topics, (given, "Write")))
    clock = tmp_path / "clock"
    clock.write_text("0")
    (missing,) = topic_rights(topics, (lacking, "Write"))
    with running_edge(secured.someone, topics.prefix, tmp_path, clock_ahead=clock) as edge:
        if lacking == "probe":
            wait_until(lambda: sentence(missing) in edge.get("/readyz").json()["checks"]["kafka"])
            assert edge.get("/readyz").status == 503
        else:
            wait_until(lambda: sentence(missing) in edge.put("t-1").json()["detail"])
        secured.grant([missing])
        wait_until(lambda: edge.put("t-1").status == 200)


@pytest.mark.parametrize("lacking", range(4))
def test_a_view_names_the_right_that_it_lacks_and_goes_on_when_it_has_it(secured, topics, tmp_path, lacking):
    StateTopic(secured.everything, topics).put({"project-1/t-1/S": series(now_us())})
    rights = needed("view", topics)
    missing = rights.pop(lacking)
    secured.grant(rights)
    check = ["kafka", "signals", "workers", "workers"][lacking]
    options = secured.options
    with running_view(secured.someone, topics.prefix, tmp_path, *options, wait=False) as view:
        wait_until(lambda: sentence(missing) in view.get("/readyz").json()["checks"][check])
        secured.grant([missing])
        wait_until(lambda: sentence(missing) not in view.get("/readyz").json()["checks"][check])
        wait_until(lambda: view.get("/readyz").status == 200)
        assert view.shown("/v3/tasks")["count"] == 1


@pytest.mark.parametrize("held", [[], [("progress", "Describe")]], ids=["nothing", "describe"])
def test_an_export_names_the_right_that_it_lacks(secured, topics, tmp_path, held):
    fleet = Fleet(tasks=2, seed=1)
    send(secured.everything.bootstrap_servers, topics, [fleet.event()])
    secured.grant(topic_rights(topics, *held))
    (missing,) = topic_rights(topics, ("progress", "Read"))
    arguments = ["--bootstrap-servers", secured.someone.bootstrap_servers, "--prefix", topics.prefix, *secured.options]
    command = ["export", "-o", str(tmp_path / "out.parquet"), *arguments]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1, result.output
    assert sentence(missing) in result.stderr
    secured.grant([missing])
    wait_until(lambda: CliRunner().invoke(cli, command).exit_code == 0)


def test_lag_names_the_group_that_it_may_not_describe(secured, topics):
    secured.grant(topic_rights(topics, ("progress", "Read")))
    arguments = ["--bootstrap-servers", secured.someone.bootstrap_servers, "--prefix", topics.prefix, *secured.options]
    result = CliRunner().invoke(cli, ["lag", *arguments])
    assert result.exit_code == 1
    assert sentence(Grant("group", f"{topics.prefix}.worker", "Describe")) in result.stderr


def run(secured: SecuredBroker, topics: Topics, command: str, *more: str) -> str:
    """What the command prints, run by someone; it ends with exit code 0."""
    arguments = ["--bootstrap-servers", secured.someone.bootstrap_servers, "--prefix", topics.prefix, *secured.options]
    result = CliRunner().invoke(cli, [*command.split(), *arguments, *more])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_analyst_with_its_rights_can_export_tail_and_replay(secured, topics, tmp_path):
    fleet = Fleet(tasks=2, seed=1)
    send(secured.everything.bootstrap_servers, topics, (fleet.event() for _ in range(EVENTS)))
    secured.grant(needed("analyst", topics))

    run(secured, topics, f"export -o {tmp_path / 'out.ndjson'}")
    assert len((tmp_path / "out.ndjson").read_text().splitlines()) == EVENTS
    assert len(run(secured, topics, "tail progress --from earliest --to latest -o ndjson").splitlines()) == EVENTS
    assert len(json.loads(run(secured, topics, "replay state -o json --as-of 2104-01-01 --keep 100000"))) == 2


def test_the_setup_with_its_rights_creates_and_checks_the_topics(secured, topic_prefix):
    topics = Topics(topic_prefix, partitions=2)
    secured.grant(needed("setup", topics))

    assert run(secured, topics, "topics create --partitions 2 -o json").count('"created": true') == len(topics.all)
    assert "as declared" in run(secured, topics, "topics check --partitions 2")


def test_an_operator_with_its_rights_can_use_the_commands(secured, topics, tmp_path):
    fleet = Fleet(tasks=2, seed=1)
    sent = [*(fleet.event() for _ in range(EVENTS)), ("p/1", b"not ours")]
    send(secured.everything.bootstrap_servers, topics, sent)
    secured.grant(needed("operator", topics))
    with worker(secured.everything.bootstrap_servers, topics, tmp_path):
        wait_until(lambda: committed(secured.everything.bootstrap_servers, topics) == len(sent))

    assert [each["records"] for each in json.loads(run(secured, topics, "lag -o json"))] == [0, 0]
    assert "as declared" in run(secured, topics, "topics check --partitions 2")
    assert "the first byte is 0x6e" in run(secured, topics, "rejected list")
    run(secured, topics, "rejected redrive --execute --unreadable-too")
    run(secured, topics, "replay diff")
    run(secured, topics, "replay rebuild --execute")

"""Processes of a pipeline on three brokers are killed and paused by role: nothing is lost, nothing is counted twice.

For a longer run, or the same faults again (their moments depend on the machine):
    make chaos ARGS="--kills 30 --seed 7"
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.pipeline.cluster.faults import HEADING, Fault, commit, random_fault, summary
from tests.pipeline.cluster.faulty_cluster import FaultyCluster
from tests.pipeline.cluster.rig import BUCKET_S, WORKERS, Rig, copies
from tests.pipeline.folded import as_one_undisturbed_fold
from tests.pipeline.streams import read_all, records
from tests.run import chaos
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SEED = chaos.seed()
USUAL = (
    Fault("kill", "controller", 3),
    Fault("half-close", "all brokers", 3),
    Fault("mute", "group coordinator", 8),
    Fault("fill disk of", "leader of progress-0", 1),
    Fault("kill", WORKERS[0], 0),
    Fault("restart", "all brokers in turn", 0),
)
"""The faults in `make test`."""


@pytest.mark.chaos
def test_nothing_is_lost_or_doubled_and_no_process_ends_whatever_broker_dies(
    kafka_cache_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    rng = random.Random(SEED)
    count = chaos.kills(usual=0)
    faults = [random_fault(rng) for _ in range(count)] if count else USUAL
    say(f"\n--kills {count} --seed {SEED}\n{HEADING}")
    with FaultyCluster(tmp_path, kafka_cache_dir) as faulty:
        _rows_are_right_after(faults, faulty, tmp_path, say)


def _rows_are_right_after(
    faults: Sequence[Fault], faulty: FaultyCluster, tmp_path: Path, say: Callable[[str], None]
) -> None:
    with Rig(faulty, tmp_path) as rig:
        wait_until(lambda: rig.rows_have(dict.fromkeys(rig.acknowledged(), 1_000)))
        outcomes = []
        for fault in faults:
            outcomes.append(commit(fault, rig))
            say("\n      ".join([outcomes[-1].line(), *outcomes[-1].died]))
        say(f"\n{summary(outcomes)}\n")
        rig.stop_agents()
        acknowledged = rig.acknowledged()
        wait_until(lambda: rig.restart_died() == [] and rig.rows_have(acknowledged))
        ids = rig.event_ids()
        refused = {status: sum(lane.refused.get(status, 0) for lane in rig.lanes) for status in (0, 503)}
        say(
            f"{len(ids)} acknowledged, refused {refused}, longest {max(each.longest_request_s for each in rig.lanes):.1f} s"
        )
    bootstrap, topics = faulty.brokers.bootstrap_servers, rig.topics
    messages = read_all(bootstrap, topics.progress.name)
    on_topic = [event["event_id"] for event in records(messages, "ProgressReported")]
    lost = ids - set(on_topic)
    say(f"lost {len(lost)}, events written more than once {copies(iter(on_topic))}, died {len(rig.died)}")
    assert lost == set()
    as_one_undisturbed_fold(bootstrap, topics, len(messages), BUCKET_S)
    say("rows, windows and signals equal those of one undisturbed fold, each once")
    assert sum(lane.unanswered for lane in rig.lanes) == 0
    assert rig.died == []

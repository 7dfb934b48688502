"""The worker's states: what is in the table is allowed, and nothing else."""

from __future__ import annotations

import itertools

import pytest

from taskstream.consumer.worker.lifecycle import TRANSITIONS, InvalidTransition, WorkerLifecycle, WorkerState

ENDS = {WorkerState.STOPPED, WorkerState.FAILED}


def at(state: WorkerState) -> WorkerLifecycle:
    lifecycle = WorkerLifecycle()
    lifecycle.state = state
    return lifecycle


@pytest.mark.parametrize(("before", "after"), sorted(TRANSITIONS, key=str))
def test_a_valid_transition_changes_the_state(before, after):
    lifecycle = at(before)
    lifecycle.move(after)
    assert lifecycle.state is after


@pytest.mark.parametrize(
    ("before", "after"), sorted(set(itertools.product(WorkerState, WorkerState)) - TRANSITIONS, key=str)
)
def test_an_invalid_transition_raises_and_leaves_the_state(before, after):
    lifecycle = at(before)
    with pytest.raises(InvalidTransition, match=f"from {before.name} to {after.name}"):
        lifecycle.move(after)
    assert lifecycle.state is before


def test_every_state_but_the_ends_can_fail():
    assert {before for before, after in TRANSITIONS if after is WorkerState.FAILED} == set(WorkerState) - ENDS


def test_nothing_follows_an_end():
    assert not {before for before, _ in TRANSITIONS} & ENDS


def test_every_state_can_be_reached():
    reached = {WorkerState.STARTING}
    while more := {after for before, after in TRANSITIONS if before in reached} - reached:
        reached |= more
    assert reached == set(WorkerState)

"""What a change of a topic's id or number of partitions means, and what the mark of an offset tells."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskstream.consumer.errors import PartitionsAdded, TopicRecreated
from taskstream.consumer.kafka.admin.topic_identity import TopicIdentity, offset_mark, require_mark, require_same

STATE = TopicIdentity("p.state", "AbC-1_x", 12)


def test_the_same_topic_passes():
    require_same(STATE, replace(STATE))
    require_mark(offset_mark(STATE), STATE, "g")


@pytest.mark.parametrize("mark", [None, "", "somebody's note", "state= partitions=3"])
def test_an_offset_without_a_mark_of_ours_passes(mark):
    require_mark(mark, STATE, "g")


def test_another_id_is_another_topic_whatever_its_partitions():
    other = replace(STATE, topic_id="other", partitions=3)
    with pytest.raises(TopicRecreated, match=r"^p\.state was deleted and created again while it was read$"):
        require_same(STATE, other)
    with pytest.raises(TopicRecreated, match=r"after the last commit of group g: its rows are gone$"):
        require_mark(offset_mark(other), STATE, "g")


def test_another_number_of_partitions_is_told_with_both_numbers():
    more = replace(STATE, partitions=13)
    with pytest.raises(PartitionsAdded, match=r"^p\.state has 13 partitions now and had 12: "):
        require_same(STATE, more)
    with pytest.raises(
        PartitionsAdded, match=r"^p\.state has 13 partitions now and had 12 at the last commit of group g"
    ):
        require_mark(offset_mark(STATE), more, "g")

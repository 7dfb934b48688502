"""Which validations get a place, and that places come back."""

from __future__ import annotations

import pytest

from taskstream.producer.callers.validation_rooms import (
    KNOWN_SOURCES,
    PER_SOURCE,
    ValidationRoom,
    ValidationRooms,
    source_of,
)


@pytest.mark.parametrize(
    "address, source",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_the_addresses_of_one_client_are_one_source(address, source):
    assert source_of(address) == source


def test_a_place_that_is_left_can_be_taken_again():
    rooms = ValidationRooms()
    places = [rooms.enter("192.0.2.1", known_token=False) for _ in range(PER_SOURCE)]
    assert all(place is not None and place.room is ValidationRoom.OPEN for place in places)
    assert rooms.enter("192.0.2.1", known_token=False) is None
    rooms.leave(places[0])
    assert rooms.enter("192.0.2.1", known_token=False) is not None


def test_a_known_token_counts_for_no_source():
    rooms = ValidationRooms()
    places = [rooms.enter("192.0.2.1", known_token=True) for _ in range(ValidationRoom.RESERVED.value)]
    assert all(place.room is ValidationRoom.RESERVED and place.source is None for place in places)
    assert rooms.enter("192.0.2.1", known_token=True) is None
    assert rooms.enter("192.0.2.1", known_token=False) is not None


def test_the_known_sources_are_bounded_and_the_oldest_goes_first():
    rooms = ValidationRooms()
    for number in range(KNOWN_SOURCES + 1):
        place = rooms.enter(f"10.0.{number // 250}.{number % 250}", known_token=False)
        rooms.was_valid(place)
        rooms.leave(place)
    assert rooms.enter("10.0.0.0", known_token=False).room is ValidationRoom.OPEN
    assert rooms.enter("10.0.0.1", known_token=False).room is ValidationRoom.RESERVED

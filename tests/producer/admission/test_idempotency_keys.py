"""A key that comes with another report is recognised, in bounded time and memory that projects share fairly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskstream.producer.admission.idempotency_keys import IdempotencyKeys


def test_a_key_names_the_report_that_it_came_with_first():
    keys = IdempotencyKeys()
    assert keys.names("p", "e", b"one", 0.0)
    assert not keys.names("p", "e", b"two", 1.0)
    assert keys.names("p", "e", b"one", 2.0)
    assert keys.names("p", "another", b"two", 3.0)


def test_a_key_is_forgotten_after_its_time_however_often_it_was_sent():
    keys = IdempotencyKeys(remembered_s=10.0)
    assert keys.names("p", "e", b"one", 0.0)
    assert keys.names("p", "e", b"one", 9.9)
    assert not keys.names("p", "e", b"two", 9.9)
    assert keys.names("p", "e", b"two", 10.0)
    assert not keys.names("p", "e", b"one", 11.0)


def test_expired_keys_leave_the_memory():
    keys = IdempotencyKeys(remembered_s=10.0)
    for number in range(100):
        keys.names("p", f"e{number}", b"", 0.0)
    for number in range(20):
        keys.names("p", f"later{number}", b"", 20.0)
    assert len(keys) == 20


def test_a_project_with_many_keys_displaces_only_its_own():
    keys = IdempotencyKeys(remembered=100)
    for number in range(10):
        keys.names("quiet", f"e{number}", b"one", 0.0)
    for number in range(1_000):
        keys.names("loud", f"e{number}", b"one", 1.0)
    assert len(keys) == 100
    assert not any(keys.names("quiet", f"e{number}", b"two", 2.0) for number in range(10))
    assert keys.names("loud", "e0", b"two", 2.0)
    assert not keys.names("loud", "e999", b"two", 2.0)


def test_a_new_project_finds_room_beside_one_that_fills_the_memory():
    keys = IdempotencyKeys(remembered=100)
    for number in range(100):
        keys.names("loud", f"e{number}", b"one", 0.0)
    for number in range(50):
        keys.names("new", f"e{number}", b"one", 0.0)
    assert len(keys) == 100
    assert not any(keys.names("new", f"e{number}", b"two", 0.0) for number in range(50))


calls = st.lists(
    st.tuples(st.sampled_from("pqrst"), st.integers(0, 30), st.booleans(), st.integers(0, 4)), max_size=200
)


@given(calls)
def test_nothing_is_refused_that_a_memory_without_bounds_allows(calls: list[tuple[str, int, bool, int]]):
    keys, unbounded, now_s = IdempotencyKeys(remembered=20, remembered_s=15.0), {}, 0.0
    for project, number, other, step_s in calls:
        now_s += step_s
        report = b"other" if other else b"one"
        first, until_s = unbounded.get((project, number), (report, 0.0))
        known = until_s > now_s
        allowed = keys.names(project, f"e{number}", report, now_s)
        assert allowed or (known and first != report)
        if not known or allowed:
            unbounded[project, number] = (report, until_s if known and first == report else now_s + 15.0)
        assert len(keys) <= 20
        held = {name: len(each) for name, each in keys._keys.items()}
        assert sum(held.values()) == len(keys)
        assert max(held.values()) == keys._most
        assert {name: size for size, names in keys._projects.items() for name in names} == held

"""Apportionment: in proportion, summing to what is wanted, never more than there is."""

from hypothesis import given
from hypothesis import strategies as st
from pathology.cohort.allocation import apportion


def test_by_hand():
    # 10 of 7 + 2 + 1: exactly 3.5, 1 and 0.5; the two halves tie and the first key gets the fifth.
    assert apportion({"a": 7, "b": 2, "c": 1}, 5) == {"a": 4, "b": 1, "c": 0}
    assert apportion({2: 1, 1: 1, 0: 1}, 1) == {2: 0, 1: 0, 0: 1}
    assert apportion({"a": 3}, 0) == {"a": 0}


@given(st.dictionaries(st.integers(), st.integers(1, 50), min_size=1, max_size=9), st.data())
def test_they_sum_up_and_each_is_within_one_of_its_part(sizes, data):
    total = sum(sizes.values())
    wanted = data.draw(st.integers(0, total))
    counts = apportion(sizes, wanted)
    assert sum(counts.values()) == wanted
    for key, size in sizes.items():
        assert 0 <= counts[key] <= size and abs(counts[key] - size * wanted / total) < 1

"""Whole shares: in proportion, summing to what is wanted, never more than there is."""

from hypothesis import given
from hypothesis import strategies as st
from pathology.datasets.shares import whole_shares


def test_by_hand():
    # 10 of 7 + 2 + 1: exactly 3.5, 1 and 0.5; the two halves tie and the first key gets the fifth.
    assert whole_shares({"a": 7, "b": 2, "c": 1}, 5) == {"a": 4, "b": 1, "c": 0}
    assert whole_shares({2: 1, 1: 1, 0: 1}, 1) == {2: 0, 1: 0, 0: 1}
    assert whole_shares({"a": 3}, 0) == {"a": 0}


@given(st.dictionaries(st.integers(), st.integers(1, 50), min_size=1, max_size=9), st.data())
def test_they_sum_up_and_each_is_within_one_of_its_part(sizes, data):
    total = sum(sizes.values())
    wanted = data.draw(st.integers(0, total))
    shares = whole_shares(sizes, wanted)
    assert sum(shares.values()) == wanted
    for key, size in sizes.items():
        assert 0 <= shares[key] <= size and abs(shares[key] - size * wanted / total) < 1

"""Whole groups set apart: about the fraction that was asked for, of either class."""

from hypothesis import given
from hypothesis import strategies as st
from pathology.patches.groups import hold_out_groups

GROUPS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4), st.lists(st.integers(0, 1), min_size=1, max_size=6), min_size=2
)


@given(groups=GROUPS, fraction=st.floats(0.05, 0.8), seed=st.integers(0, 2**31 - 1))
def test_no_class_is_further_off_than_it_would_be_with_nothing_held_out(groups, fraction, seed):
    chosen = hold_out_groups(groups, fraction, [seed])
    assert hold_out_groups(dict(reversed(groups.items())), fraction, [seed]) == chosen
    totals = [sum(labels.count(label) for labels in groups.values()) for label in (0, 1)]
    held = [sum(groups[name].count(label) for name in chosen) for label in (0, 1)]
    off = sum((one - max(all_ * fraction, 1)) ** 2 / max(all_, 1) ** 2 for one, all_ in zip(held, totals, strict=True))
    nothing = sum(max(all_ * fraction, 1) ** 2 / max(all_, 1) ** 2 for all_ in totals)
    assert off <= nothing + 1e-12


@given(counts=st.tuples(st.integers(5, 150), st.integers(5, 150)), fraction=st.floats(0.1, 0.5), seed=st.integers(0, 99))
def test_single_patches_come_as_near_as_whole_numbers_allow(counts, fraction, seed):
    groups = {f"{label}-{number}": [label] for label, count in enumerate(counts) for number in range(count)}
    chosen = hold_out_groups(groups, fraction, [seed])
    for label, count in enumerate(counts):
        held = sum(name.startswith(f"{label}-") for name in chosen)
        assert abs(held - max(count * fraction, 1)) <= 0.5 + 1e-9


def test_patients_of_many_patches_are_stratified():
    groups = {f"p{number:02d}": [number % 3 == 0] * (3 + number % 5) for number in range(60)}
    totals = [sum(labels.count(label) for labels in groups.values()) for label in (0, 1)]
    picks = {frozenset(hold_out_groups(groups, 0.25, [seed])) for seed in range(5)}
    assert len(picks) == 5, "another seed, other patients"
    for chosen in picks:
        for label in (0, 1):
            assert abs(sum(groups[name].count(label) for name in chosen) / totals[label] - 0.25) < 0.05
    sizes = [len(groups[name]) for chosen in picks for name in chosen]
    assert 4 < sum(sizes) / len(sizes) < 6, "neither the large patients nor the small ones alone: all have 5 on average"

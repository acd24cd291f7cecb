"""Sides by source image: the published rule, the published counts, small data, and a validation side apart from the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.patches import cohort_of, source_of
from pathology.contracts.lizard.prepare import PrepareLizard
from pathology.tasks.lizard.split import choose_validation, sources_of, split, strata

OTHER = PrepareLizard(published_counts=False)
LIZARD_LIKE = {"consep": 16, "crag": 64, "dpath": 70, "glas": 56, "pannuke": 32}


def patches(sources, each=2):
    return [f"{source}-{number:04d}" for source in sources for number in range(each)]


def of(cohorts):
    """Source images of cohorts with so many each."""
    return [f"{cohort}_{number}" for cohort, count in cohorts.items() for number in range(1, count + 1)]


def divided(names, settings=OTHER):
    """Split → its source images."""
    rows = split(names, [1] * len(names), settings)
    return {side: {row.source for row in rows if row.split == side} for side in ("train", "validation", "test")}


def published(names, fold):
    """The rule as facts about the challenge's baseline state it, step by step; the test side's source images."""
    from sklearn.model_selection import StratifiedShuffleSplit

    sources = np.unique([name.split("-")[0] for name in names])
    _, cohorts = np.unique([source.split("_")[0] for source in sources], return_inverse=True)
    splitter = StratifiedShuffleSplit(n_splits=10, train_size=0.8, test_size=0.2, random_state=5)
    return set(sources[list(splitter.split(sources, cohorts))[fold][1]])


@pytest.mark.parametrize("fold", range(10))
def test_folds_are_by_the_published_rule(fold):
    names = patches(of(LIZARD_LIKE))
    sides = divided(names, PrepareLizard(published_counts=False, fold=fold))
    assert sides["test"] == published(names, fold) and len(sides["test"]) == 48


def test_folds_differ_and_cohorts_keep_their_share():
    names = patches(of(LIZARD_LIKE))
    tests = [divided(names, PrepareLizard(published_counts=False, fold=fold))["test"] for fold in range(10)]
    assert len({frozenset(test) for test in tests}) == 10
    for cohort, count in LIZARD_LIKE.items():
        assert sum(source.startswith(cohort) for source in tests[0]) == pytest.approx(0.2 * count, abs=1)


@pytest.fixture(scope="module")
def lizard():
    """Names of 4,981 patches of which fold 0 tests 1,018."""
    sources = of(LIZARD_LIKE)
    test = sorted(published(patches(sources), 0))
    counts = dict.fromkeys(sources, 1)
    for side, total in ((test, 1018), (sorted(set(sources) - set(test)), 3963)):
        for number in range(total - len(side)):
            counts[side[number % len(side)]] += 1
    return [f"{source}-{number:04d}" for source, count in counts.items() for number in range(count)]


def test_the_published_counts_hold(lizard):
    rows = split(lizard, [0] * len(lizard), PrepareLizard())
    assert len(rows) == 4981 and sum(row.split == "test" for row in rows) == 1018
    assert split(lizard, [0] * len(lizard), PrepareLizard(fold=3))  # other folds have other counts


def test_other_counts_are_refused_as_published(lizard):
    test = next(name for name in lizard if source_of(name) in published(lizard, 0))
    train = next(name for name in lizard if source_of(name) not in published(lizard, 0))
    moved = [name for name in lizard if name != train] + [f"{source_of(test)}-9999"]
    with pytest.raises(DataError, match="fold 0 has 3,962 train and 1,019 test patches .*set 'published-counts' to false"):
        split(moved, [0] * len(moved), PrepareLizard())
    with pytest.raises(DataError, match="fold 3 has .* of 4,981: give the whole data set"):
        split(lizard[1:], [0] * (len(lizard) - 1), PrepareLizard(fold=3))


def test_rows_say_what_the_names_say():
    names = ["glas_1-0001", "crag_12_b-0000", "glas_1-0000", "dpath_3-0000", "plain-0000", "glas_2-7"]
    rows = split(names, [5, 4, 3, 2, 1, 0], OTHER)
    assert [row.name for row in rows] == names and [row.index for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row.source for row in rows] == ["glas_1", "crag_12_b", "glas_1", "dpath_3", "plain", "glas_2"]
    assert [row.cohort for row in rows] == ["glas", "crag", "glas", "dpath", "plain", "glas"]
    assert [row.nuclei for row in rows] == [5, 4, 3, 2, 1, 0]
    assert {row.split for row in rows} == {"train", "validation", "test"}


@given(st.permutations(patches(of({"a": 6, "b": 4, "c": 1}))))
def test_the_order_of_the_patches_changes_no_side(names):
    assert divided(names) == divided(sorted(names))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 12), min_size=1), st.integers(0, 9), st.integers(0, 3))
def test_every_small_data_set_is_divided_or_refused(cohorts, fold, seed):
    names = patches(of(cohorts))
    settings = PrepareLizard(published_counts=False, fold=fold, split_seed=seed)
    if sum(cohorts.values()) < 3:
        with pytest.raises(DataError, match="train, validation and test need one each"):
            divided(names, settings)
        return
    sides = divided(names, settings)
    assert all(sides.values()) and sum(map(len, sides.values())) == sum(cohorts.values())
    assert len(set.union(*sides.values())) == sum(cohorts.values())  # no source image on two sides


@pytest.mark.parametrize(
    ("cohorts", "pooled"),
    [
        (LIZARD_LIKE, set()),
        ({"nucls": 10}, set()),
        ({"a": 9, "b": 1, "c": 1, "d": 1}, {("b", "c", "d")}),
        ({"a": 9, "b": 8, "c": 1}, {("b", "c")}),
        ({"a": 1, "b": 1, "c": 1}, {("a", "b", "c")}),
        ({"a": 2, "b": 2, "c": 2}, {("a", "b")}),  # two test images part two strata
    ],
)
def test_cohorts_too_small_are_pooled(cohorts, pooled):
    cohorts_of = strata(of(cohorts))
    assert {names for names in cohorts_of.values() if len(names) > 1} == pooled
    assert sorted(name for names in cohorts_of.values() for name in names) == sorted(cohorts)


def test_validation_is_of_whole_source_images_by_cohort():
    sources = of({"a": 20, "b": 10, "c": 10})
    chosen = choose_validation(sources, PrepareLizard(validation_fraction=0.2))
    assert sorted(cohort_of(source) for source in chosen) == ["a"] * 4 + ["b"] * 2 + ["c"] * 2
    assert chosen == choose_validation(sources[::-1], PrepareLizard(validation_fraction=0.2))
    assert chosen != choose_validation(sources, PrepareLizard(validation_fraction=0.2, split_seed=1))
    assert len(choose_validation(["a_1", "a_2"], PrepareLizard(validation_fraction=0.01))) == 1
    assert len(choose_validation(["a_1", "b_2"], PrepareLizard(validation_fraction=0.49))) == 1


def test_sources_are_sorted_and_single():
    assert sources_of(["b_1-0", "a_10-0", "a_2-0", "b_1-1"]) == ["a_10", "a_2", "b_1"]
    with pytest.raises(DataError, match=r"from 2 source images \(the name up to '-'\).*correct patch_info.csv"):
        sources_of(["b_1-0", "b_1-1", "a_1-0"])

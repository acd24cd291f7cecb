"""The split of patients: whole, seeded, whatever the order; stable, stratified, given, or as in an earlier cohort."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pathology.cohort.split import count_places, kept, split_patients
from pathology.cohort.split import given as given_places
from pathology.contracts.errors import DataError
from pathology.contracts.msi.prepare import PrepareMsi


def prepare(**values):
    return PrepareMsi(**{"split": "stratified", **values})


@given(
    positives=st.integers(2, 60),
    negatives=st.integers(2, 60),
    folds=st.integers(2, 6),
    fraction=st.sampled_from([0.1, 0.25, 0.5]),
    seed=st.integers(0, 5),
)
@settings(max_examples=60)
def test_every_stratified_part_has_both_classes_or_it_is_refused(positives, negatives, folds, fraction, seed):
    patients = {f"P{number}": int(number < positives) for number in range(positives + negatives)}
    wanted = prepare(folds=folds, test_fraction=fraction, split_seed=seed)
    try:
        folds_of = split_patients(patients, wanted)
    except DataError as error:
        assert "too few" in str(error) or "cannot be split" in str(error)
        return
    assert folds_of == split_patients(dict(reversed(patients.items())), wanted)
    assert set(folds_of) == set(patients)
    prevalence = positives / (positives + negatives)
    for part in (None, *range(folds)):
        labels = [patients[name] for name, fold in folds_of.items() if fold == part]
        assert 0 < sum(labels) < len(labels)
        assert abs(sum(labels) - prevalence * len(labels)) <= 1.5


def test_the_test_set_has_its_fraction():
    folds_of = split_patients({f"P{number}": number % 5 == 0 for number in range(200)}, prepare(test_fraction=0.2))
    assert sum(fold is None for fold in folds_of.values()) == 40
    assert np.bincount([fold for fold in folds_of.values() if fold is not None]).tolist() == [32] * 5


def test_a_fraction_that_leaves_no_test_patient_of_a_class():
    with pytest.raises(DataError, match="too few|cannot be split"):
        split_patients({f"P{number}": number < 8 for number in range(40)}, prepare(test_fraction=0.01))


# Stable


@pytest.fixture
def chosen(shared_data):
    """The labelled patients of TCGA-COAD with a diagnostic slide of the primary tumour, and the settings of msi.yaml."""
    lines = (shared_data / "tcga" / "gdc_manifest_tcga_coad.txt").read_text().splitlines()[1:]
    there = {name[:12] for line in lines if (name := line.split("\t")[1])[13:15] == "01"}
    with (shared_data / "tcga" / "liu_coadread_msi_only.csv").open() as file:
        labels = {row["TCGA Participant Barcode"]: row["MSI Status"] for row in csv.DictReader(file)}
    coad = {name: int(label == "MSI-H") for name, label in labels.items() if label != "NA" and name in there}
    written = yaml.safe_load(Path("pipeline_definitions/msi.yaml").read_text())["prepare"]["hyperparameters"]
    return coad, PrepareMsi(**written)


def test_tcga_coad_with_the_chosen_seed_is_split_in_proportion(chosen):
    patients, written = chosen
    assert (len(patients), sum(patients.values()), written.split) == (332, 60, "stable")
    counts = count_places(patients, split_patients(patients, written), written.folds)
    test = counts.pop(None)
    assert abs(test[1] - 60 * written.test_fraction) <= 2
    train = 60 - test[1]
    assert all(abs(positives - train / written.folds) <= 2 for _, positives in counts.values())


def test_nobody_moves_when_patients_come_or_labels_are_corrected(chosen):
    """200 draws: 1, 10 or 50 patients more, or a label the other way round."""
    patients, written = chosen
    before = split_patients(patients, written)
    generator = np.random.default_rng(0)
    for draw in range(200):
        after = dict(patients)
        for number in range(int(generator.choice([0, 1, 10, 50]))):
            after[f"TCGA-{draw:02d}-{generator.integers(1000, 9999)}{number}"] = int(generator.random() < 0.2)
        corrected = str(generator.choice(list(patients)))
        after[corrected] = 1 - after[corrected]
        order = generator.permutation(list(after)).tolist()
        places = split_patients({name: after[name] for name in order}, written)
        assert {name: places[name] for name in patients} == before


def test_a_stable_place_is_the_patients_however_the_id_is_spelt():
    wanted = prepare(split="stable", folds=2, split_seed=1)
    names = {f"Müller {number}": number % 2 for number in range(60)}
    spelt = {name.upper().replace("Ü", "U\u0308").replace(" ", "\u00a0"): label for name, label in names.items()}
    assert list(split_patients(names, wanted).values()) == list(split_patients(spelt, wanted).values())


def test_a_stable_split_with_too_few_names_three_seeds_that_work():
    patients = {f"P{number}": int(number < 20) for number in range(60)}
    bad = next(seed for seed in range(100) if _refused(patients, prepare(split="stable", folds=3, split_seed=seed)))
    with pytest.raises(DataError, match=r"fewer than 2: set 'split-seed' \(SplitSeed\) to \d+, \d+, \d+$") as caught:
        split_patients(patients, prepare(split="stable", folds=3, split_seed=bad))
    for seed in str(caught.value).rpartition(" to ")[2].split(", "):
        split_patients(patients, prepare(split="stable", folds=3, split_seed=int(seed)))


def test_a_cohort_that_no_seed_splits_is_told_to_stratify():
    patients = {f"P{number}": int(number < 8) for number in range(24)}
    with pytest.raises(DataError, match=r"none of 1000 seeds gives more: set 'split' \(Split\) to stratified"):
        split_patients(patients, prepare(split="stable", folds=7))


def _refused(patients, wanted):
    try:
        split_patients(patients, wanted)
    except DataError:
        return True
    return False


# Given

COHORT = {f"P{number}": number % 2 for number in range(12)}


def test_published_folds_are_taken_as_they_are():
    values = {name: ("test" if number < 4 else str(number % 4 // 2)) for number, name in enumerate(COHORT)}
    places = given_places(COHORT, values, prepare(split="given", folds=2), "t.csv")
    assert places == {name: (None if value == "test" else int(value)) for name, value in values.items()}
    numbers = {name: str(number // 2 % 3) for number, name in enumerate(COHORT)}
    places = given_places(COHORT, numbers, prepare(split="given", folds=2, test_values=("2",)), "t.csv")
    assert {places[name] for name, value in numbers.items() if value == "2"} == {None}


def test_train_and_validation_words_are_train():
    patients = {f"P{number}": number % 2 for number in range(60)}
    values = {name: ("Test" if number < 20 else "val" if number < 30 else "TRAIN") for number, name in enumerate(patients)}
    places = given_places(patients, values, prepare(split="given", folds=2), "t.csv")
    assert [place is None for place in places.values()] == [number < 20 for number in range(60)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"P3": ""}, "1 patients have no split: P3: fill it in"),
        ({"P3": "holdout"}, r"split 'holdout' of patient P3 is neither test \(test\) nor train nor a fold from 0 to 1"),
        ({"P3": "5"}, "split '5' of patient P3 is neither"),
        ({f"P{number}": "0" for number in (1, 3)}, "the test set would have 0 positive and 2 negative patients"),
    ],
)
def test_given_splits_that_say_nothing_are_refused(change, message):
    values = {name: ("test" if number < 4 else str(number % 4 // 2)) for number, name in enumerate(COHORT)} | change
    with pytest.raises(DataError, match=message):
        given_places(COHORT, values, prepare(split="given", folds=2), "t.csv")


def test_an_earlier_cohort_keeps_its_places_and_the_new_get_theirs():
    earlier = {name.lower(): (None if number < 4 else number % 4 // 2) for number, name in enumerate(COHORT)}
    more = COHORT | {f"N{number}": number % 2 for number in range(40)}
    places = kept(more, earlier, prepare(split="given", folds=2), "earlier")
    assert {name: places[name] for name in COHORT} == {name: earlier[name.lower()] for name in COHORT}
    assert places == kept(dict(reversed(more.items())), earlier, prepare(split="given", folds=2), "earlier")
    with pytest.raises(DataError, match=r"earlier has 5 folds and 'folds' \(Folds\) is 2: give both the same"):
        kept(more, {**earlier, "p11": 4}, prepare(split="given", folds=2), "earlier")

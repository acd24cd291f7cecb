"""The split of patients: stratified, whole, seeded, whatever the order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pathology.cohort.split import split_patients
from pathology.contracts.errors import DataError
from pathology.contracts.msi.prepare import PrepareMsi


def prepare(**values):
    return PrepareMsi(**values)


@given(
    positives=st.integers(2, 60),
    negatives=st.integers(2, 60),
    folds=st.integers(2, 6),
    fraction=st.sampled_from([0.1, 0.25, 0.5]),
    seed=st.integers(0, 5),
)
@settings(max_examples=60)
def test_every_part_has_both_classes_or_it_is_refused(positives, negatives, folds, fraction, seed):
    patients = {f"P{number}": int(number < positives) for number in range(positives + negatives)}
    wanted = prepare(folds=folds, test_fraction=fraction, seed=seed)
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

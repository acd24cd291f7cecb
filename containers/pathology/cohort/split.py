"""Patients to folds and the test set. Splits of a cohort are made here and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Protocol

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import normal

Places = dict[str, int | None]
"""A patient's fold, None for the test set."""

SEEDS_TRIED = 1000
SEEDS_NAMED = 3
TRAIN_WORDS = frozenset({"train", "training", "val", "valid", "validation", "dev", "tune"})
"""What tables call the side that is trained on; the cross-validation makes its own validation folds of all of it."""
MIN_OF_A_CLASS = 2
"""In the test set and in every fold, of a ``stable`` split: with one alone, one mistake is everything."""


class SplitSettings(Protocol):
    """What decides a split; all are read only."""

    @property
    def split(self) -> str: ...
    @property
    def test_fraction(self) -> float: ...
    @property
    def folds(self) -> int: ...
    @property
    def split_seed(self) -> int: ...
    @property
    def test_values(self) -> tuple[str, ...]: ...


def split_patients(patients: Mapping[str, int], settings: SplitSettings) -> Places:
    """Each patient's place from the label (0 or 1) by id, by the rule that ``settings.split`` names.

    Raises:
        DataError: when a class is absent, or has too few patients for every fold and the test set.
    """
    _check_classes(np.array(list(patients.values()), dtype=int), settings)
    return stratified(patients, settings) if settings.split == "stratified" else stable(patients, settings)


def stable(patients: Mapping[str, int], settings: SplitSettings) -> Places:
    """Places that follow from the seed and the patient's id alone: nobody moves when others come or a label is corrected.

    Raises:
        DataError: when the test set or a fold has fewer than :data:`MIN_OF_A_CLASS` of a class, naming seeds with which it has not.
    """
    places = {name: stable_place(name, settings, settings.split_seed) for name in patients}
    short = _shortage(patients, places, settings.folds)
    if short:
        seeds = list(islice(_seeds(patients, settings), SEEDS_NAMED))
        remedy = (
            f"set 'split-seed' (SplitSeed) to {', '.join(map(str, seeds))}"
            if seeds
            else f"none of {SEEDS_TRIED} seeds gives more: set 'split' (Split) to stratified, or lower 'folds' (Folds)"
        )
        raise DataError(f"with split-seed {settings.split_seed} {short}, fewer than {MIN_OF_A_CLASS}: {remedy}")
    return places


def stable_place(patient: str, settings: SplitSettings, seed: int) -> int | None:
    """A patient's place by :func:`_draws`."""
    test, fold = _draws(patient, seed)
    return None if test < settings.test_fraction else int(fold * settings.folds)


def _draws(patient: str, seed: int) -> tuple[float, float]:
    """Two numbers in [0, 1), for the test set and for the fold, by a keyed hash of the seed and the id's normal form."""
    digest = hashlib.blake2b(normal(patient).encode(), key=f"split {seed}".encode(), digest_size=16).digest()
    test, fold = (int.from_bytes(digest[start : start + 8]) / 2**64 for start in (0, 8))
    return test, fold


def _seeds(patients: Mapping[str, int], settings: SplitSettings) -> Iterator[int]:
    for seed in range(SEEDS_TRIED):
        places = {name: stable_place(name, settings, seed) for name in patients}
        if not _shortage(patients, places, settings.folds):
            yield seed


def _shortage(patients: Mapping[str, int], places: Places, folds: int) -> str:
    """The first part that has too few of a class, in words; "" when none has."""
    counts = count_places(patients, places, folds)
    for part, of_class in counts.items():
        for label, count in enumerate(of_class):
            if count < MIN_OF_A_CLASS:
                where = "the test set" if part is None else f"fold {part}"
                return f"{where} has {count} {'positive' if label else 'negative'} patients"
    return ""


def count_places(patients: Mapping[str, int], places: Places, folds: int) -> dict[int | None, tuple[int, int]]:
    """Negative and positive patients of the test set (None) and of every fold."""
    counts = {part: [0, 0] for part in (None, *range(folds))}
    for name, label in patients.items():
        counts[places[name]][label] += 1
    return {part: (negatives, positives) for part, (negatives, positives) in counts.items()}


def stratified(patients: Mapping[str, int], settings: SplitSettings) -> Places:
    """Every part with its fraction of either class, seeded, whatever the order of ``patients``; one more patient moves others.

    Raises:
        DataError: when a class has too few patients for every fold and the test set.
    """
    from sklearn.model_selection import StratifiedKFold, train_test_split

    names = np.array(sorted(patients))
    truth = np.array([patients[name] for name in names], dtype=int)
    try:
        train, test = train_test_split(
            np.arange(len(names)), test_size=settings.test_fraction, random_state=settings.split_seed, stratify=truth
        )
    except ValueError as error:  # scikit-learn's own words name the sizes that do not fit
        raise DataError(f"{len(names)} patients cannot be split with test-fraction {settings.test_fraction}: {error}") from None
    train, test = np.sort(train), np.sort(test)
    min_count = int(np.bincount(truth[train], minlength=2).min())
    if min_count < settings.folds or len(set(truth[test])) < 2:
        raise _too_few(truth, settings)
    folds: Places = {str(name): None for name in names[test]}
    splitter = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.split_seed)
    for fold, (_, held_out) in enumerate(splitter.split(train, truth[train])):
        folds |= {str(name): fold for name in names[train][held_out]}
    return folds


def given(patients: Mapping[str, int], values: Mapping[str, str], settings: SplitSettings, where: str) -> Places:
    """Places as the table has them: ``settings.test_values`` are the test set, numbers are folds, ``train`` and the words for
    validation are train, whose folds are by :func:`stable_place`.

    Raises:
        DataError: for patients without a value, values that say nothing, numbers that are not 0 to folds − 1, and parts without one
            of each class.
    """
    tests = {normal(value) for value in settings.test_values}
    lacking = sorted(name for name in patients if not values.get(name))
    if lacking:
        raise DataError(f"{where}: {len(lacking)} patients have no split: {', '.join(lacking[:5])}: fill it in")
    places: Places = {}
    for name in patients:
        value = normal(values[name])
        if value in tests:
            places[name] = None
        elif value in TRAIN_WORDS:
            places[name] = int(_draws(name, settings.split_seed)[1] * settings.folds)
        elif value.isdecimal() and int(value) < settings.folds:
            places[name] = int(value)
        else:
            raise DataError(
                f"{where}: split {values[name]!r} of patient {name} is neither {', '.join(settings.test_values)} (test) nor train nor a "
                f"fold from 0 to {settings.folds - 1}: correct it, or 'test-values' (TestValues), or 'folds' (Folds)"
            )
    return _checked(patients, places, settings, where)


def kept(patients: Mapping[str, int], earlier: Mapping[str, int | None], settings: SplitSettings, where: str) -> Places:
    """Places of an ``earlier`` cohort, by the ids' normal form; patients who are new get theirs by :func:`stable_place`.

    Raises:
        DataError: for a fold beyond ``settings.folds``, and parts without one of each class.
    """
    folds = {fold for fold in earlier.values() if fold is not None}
    if folds and max(folds) >= settings.folds:
        raise DataError(f"{where} has {max(folds) + 1} folds and 'folds' (Folds) is {settings.folds}: give both the same")
    known = {normal(name): place for name, place in earlier.items()}
    places = {
        name: known[normal(name)] if normal(name) in known else stable_place(name, settings, settings.split_seed)
        for name in patients
    }
    return _checked(patients, places, settings, where)


def _checked(patients: Mapping[str, int], places: Places, settings: SplitSettings, where: str) -> Places:
    for part, (negatives, positives) in count_places(patients, places, settings.folds).items():
        if not negatives or not positives:
            name = "the test set" if part is None else f"fold {part}"
            raise DataError(
                f"{where}: {name} would have {positives} positive and {negatives} negative patients: every part needs both classes"
            )
    return places


def _check_classes(truth: np.ndarray, settings: SplitSettings) -> None:
    if min(int(truth.sum()), int((1 - truth).sum())) < settings.folds + 1:
        raise _too_few(truth, settings)


def _too_few(truth: np.ndarray, settings: SplitSettings) -> DataError:
    positives = int(truth.sum())
    return DataError(
        f"{positives} positive and {len(truth) - positives} negative patients are too few for {settings.folds} folds and a test "
        f"fraction of {settings.test_fraction}: add patients, or lower 'folds' (Folds) or 'test-fraction' (TestFraction)"
    )

"""Patients to folds and the test set. Splits of a cohort are made here and nowhere else."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pathology.contracts.errors import DataError


class SplitSettings(Protocol):
    """What decides a split; all are read only."""

    @property
    def positive(self) -> tuple[str, ...]: ...
    @property
    def negative(self) -> tuple[str, ...]: ...
    @property
    def test_fraction(self) -> float: ...
    @property
    def folds(self) -> int: ...
    @property
    def seed(self) -> int: ...


def split_patients(patients: dict[str, int], settings: SplitSettings) -> dict[str, int | None]:
    """Each patient's fold, None for the test set: stratified by label, seeded, whatever the order of ``patients``.

    Raises:
        DataError: when a class is absent, or has too few patients for every fold and the test set.
    """
    from sklearn.model_selection import StratifiedKFold, train_test_split

    names = np.array(sorted(patients))
    truth = np.array([patients[name] for name in names], dtype=int)
    _check_classes(truth, settings)
    try:
        train, test = train_test_split(
            np.arange(len(names)), test_size=settings.test_fraction, random_state=settings.seed, stratify=truth
        )
    except ValueError as error:  # scikit-learn's own words name the sizes that do not fit
        raise DataError(f"{len(names)} patients cannot be split with test-fraction {settings.test_fraction}: {error}") from None
    train, test = np.sort(train), np.sort(test)
    min_count = int(np.bincount(truth[train], minlength=2).min())
    if min_count < settings.folds or len(set(truth[test])) < 2:
        raise _too_few(truth, settings)
    folds: dict[str, int | None] = {str(name): None for name in names[test]}
    splitter = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    for fold, (_, held_out) in enumerate(splitter.split(train, truth[train])):
        folds |= {str(name): fold for name in names[train][held_out]}
    return folds


def _check_classes(truth: np.ndarray, settings: SplitSettings) -> None:
    positives = int(truth.sum())
    for name, values, count in (
        ("positive", settings.positive, positives),
        ("negative", settings.negative, len(truth) - positives),
    ):
        if count == 0:
            raise DataError(
                f"no patient with a slide is {name} ({', '.join(values)}) among {len(truth)} with a label: "
                f"check the label table's values, the settings 'positive' and 'negative', and that table and slides match"
            )
    if min(positives, len(truth) - positives) < settings.folds + 1:
        raise _too_few(truth, settings)


def _too_few(truth: np.ndarray, settings: SplitSettings) -> DataError:
    positives = int(truth.sum())
    return DataError(
        f"{positives} positive and {len(truth) - positives} negative patients are too few for {settings.folds} folds and a test "
        f"fraction of {settings.test_fraction}: add patients, or lower 'folds' or 'test-fraction'"
    )

"""Sides by source image, as every published number of Lizard has them: patches of one image never lie on two sides.

The ten splits are those of the challenge's baseline: source images, stratified by cohort, by scikit-learn's StratifiedShuffleSplit
with 80 % and 20 % and the seed 5; the first has 3,963 and 1,018 patches. Validation is taken out of the train side, by source image
too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import numpy as np

from pathology.cohort.allocation import apportion
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.patches import PUBLISHED, NucleiPatchRow, cohort_of, source_of
from pathology.contracts.lizard.prepare import PrepareLizard

FOLDS, TEST_FRACTION, SPLIT_SEED = 10, 0.2, 5
MIN_SOURCES = 3
"""One for each side."""


def split(names: Sequence[str], nuclei: Sequence[int], settings: PrepareLizard) -> list[NucleiPatchRow]:
    """Rows in the order of ``names``, with each patch's number of ``nuclei``; the order changes nothing else.

    Cohorts too small to be stratified are pooled, see :func:`strata`.

    Raises:
        DataError: for fewer than three source images, or other numbers of patches than the published.
    """
    sources = sources_of(names)
    test = _test_sources(sources, settings.fold)
    sides = dict.fromkeys(test, "test")
    for source in choose_validation([source for source in sources if source not in test], settings):
        sides[source] = "validation"
    rows = [
        NucleiPatchRow.model_validate(
            {
                "index": index,
                "name": name,
                "source": source_of(name),
                "cohort": cohort_of(source_of(name)),
                "nuclei": count,
                "split": sides.get(source_of(name), "train"),
            }
        )
        for index, (name, count) in enumerate(zip(names, nuclei, strict=True))
    ]
    if settings.published_counts:
        _check_published(rows, settings.fold)
    return rows


def sources_of(names: Sequence[str]) -> list[str]:
    """Source images of the patches, sorted.

    Raises:
        DataError: for fewer than three.
    """
    sources = [str(source) for source in np.unique([source_of(name) for name in names])]
    if len(sources) < MIN_SOURCES:
        raise DataError(
            f"the patches are from {len(sources)} source images (the name up to '-'), and train, validation and test need one "
            f"each: add source images, or correct patch_info.csv"
        )
    return sources


def strata(sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Stratum → its cohorts: a cohort each, as far as it can be stratified.

    scikit-learn asks for two source images in each and for no more strata than test images. Cohorts of one image are pooled, then
    the two smallest strata for as long as that is not so. Lizard's five cohorts are large enough.
    """
    sizes = Counter(cohort_of(source) for source in sources)
    cohorts_of: dict[str, tuple[str, ...]] = {cohort: (cohort,) for cohort in sizes}
    while len(cohorts_of) > 1 and (min(sizes.values()) < 2 or len(cohorts_of) > math.ceil(TEST_FRACTION * len(sources))):
        by_size = sorted(sizes, key=lambda stratum: (sizes[stratum], stratum))
        pooled = by_size[: max(2, sum(size == 1 for size in sizes.values()))]
        name = "+".join(pooled)
        cohorts_of[name] = tuple(sorted(cohort for stratum in pooled for cohort in cohorts_of.pop(stratum)))
        sizes[name] = sum(sizes.pop(stratum) for stratum in pooled)
    return cohorts_of


def _test_sources(sources: Sequence[str], fold: int) -> set[str]:
    from sklearn.model_selection import StratifiedShuffleSplit

    stratum_of = {cohort: stratum for stratum, cohorts in strata(sources).items() for cohort in cohorts}
    labels = np.unique([stratum_of[cohort_of(source)] for source in sources], return_inverse=True)[1]
    splitter = StratifiedShuffleSplit(FOLDS, test_size=TEST_FRACTION, train_size=0.8, random_state=SPLIT_SEED)
    _, test = next(islice(splitter.split(np.array(sources), labels), fold, None))
    return {sources[index] for index in test}


def choose_validation(sources: Sequence[str], settings: PrepareLizard) -> set[str]:
    """Source images of the train side to keep aside: ``validation_fraction`` of them, of each cohort as near as whole ones allow.

    At least one, and at least one stays. The same sources and ``split_seed`` give the same choice.
    """
    cohorts: dict[str, list[str]] = {}
    for source in sorted(sources):
        cohorts.setdefault(cohort_of(source), []).append(source)
    wanted = min(max(round(len(sources) * settings.validation_fraction), 1), len(sources) - 1)
    quotas = apportion({cohort: len(members) for cohort, members in cohorts.items()}, wanted)
    chosen: set[str] = set()
    for number, (cohort, members) in enumerate(sorted(cohorts.items())):
        order = np.random.default_rng([settings.split_seed, number]).permutation(len(members))
        chosen |= {members[index] for index in order[: quotas[cohort]]}
    return chosen


def _check_published(rows: Sequence[NucleiPatchRow], fold: int) -> None:
    test = sum(row.split == "test" for row in rows)
    patches = {"train": len(rows) - test, "test": test}
    if len(rows) != sum(PUBLISHED.values()) or (fold == 0 and patches != PUBLISHED):
        raise DataError(
            f"fold {fold} has {patches['train']:,} train and {test:,} test patches and Lizard's fold 0 has 3,963 and 1,018 of 4,981: "
            f"give the whole data set, or set 'published-counts' to false for other data"
        )

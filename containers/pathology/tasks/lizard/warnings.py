"""What a reader must know of a test on nuclei before believing a number."""

from __future__ import annotations

from pathology.contracts.intervals.clusters import MIN_CLUSTERS
from pathology.contracts.lizard.patches import LIZARD_CLASSES, PUBLISHED, NucleiDataset
from pathology.report.warnings import FEW
from pathology.tasks.lizard.scores import NucleiScores


def is_published(dataset: NucleiDataset, test: int) -> bool:
    """Whether the test patches are those of the published numbers: as many, of fold 0, of Lizard's classes."""
    return dataset.fold == 0 and test == PUBLISHED["test"] and dataset.classes == LIZARD_CLASSES


def task_warnings(scores: NucleiScores, dataset: NucleiDataset) -> list[str]:
    """What a reader must know of this test before believing a number, most important first."""
    warnings = []
    if scores.sources < MIN_CLUSTERS:
        warnings.append(
            f"The test patches come from {scores.sources} source images only, and patches of one image are alike: there are no "
            f"confidence intervals, for which {MIN_CLUSTERS} are needed, and the single numbers may be far off."
        )
    warnings += rare_classes(scores)
    if not is_published(dataset, scores.patches):
        warnings.append(
            f"These {scores.patches:,} test patches are not the {PUBLISHED['test']:,} of Lizard's fold 0 with its six classes: the "
            "published numbers are of another test and stand here for orientation only."
        )
    return warnings


def rare_classes(scores: NucleiScores) -> list[str]:
    """Said of classes with fewer than :data:`FEW` true nuclei, and of those with none."""
    absent = [name for name, of_class in scores.by_class.items() if not of_class.true]
    rare = [f"{of_class.true} {name}" for name, of_class in scores.by_class.items() if 0 < of_class.true < FEW]
    warnings = []
    if absent:
        warnings.append(f"No {' and no '.join(absent)} nucleus is in the test patches: nothing is proven of finding them.")
    if rare:
        warnings.append(f"The test patches hold only {', '.join(rare)} nuclei: their class's scores say little.")
    return warnings

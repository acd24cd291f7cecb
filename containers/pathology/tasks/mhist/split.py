"""Which side each patch is on: as the table says, a part of train set apart for validation; or, where it does not say, split here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pathology.contracts.errors import DataError
from pathology.contracts.mhist.patches import ANNOTATORS, PUBLISHED
from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.contracts.patches import SPLITS
from pathology.patches.groups import hold_out_groups
from pathology.patches.prepare import hold_out
from pathology.tasks.mhist.table import Annotation, Annotations, Partition


@dataclass(frozen=True)
class Split:
    """Each image's side; how it came to be, in words; and what readers of any figure must know of it."""

    sides: Mapping[str, Partition]
    made: str
    warnings: tuple[str, ...] = ()


def choose_sides(table: Annotations, settings: PrepareMhist) -> Split:
    """Every patch's side, the same for the same table in any order and the same seed.

    Raises:
        DataError: where a side has too few patches of a class, or the table is not MHIST's whole one and has to be.
    """
    if table.lines and table.lines[0].partition is None:
        split = _split_here(table.lines, settings)
    else:
        _check_partitions(table, settings)
        split = _as_given(table.lines, settings)
    _check_sides(table.lines, split.sides, settings)
    return split


def _as_given(lines: Sequence[Annotation], settings: PrepareMhist) -> Split:
    sides = {line.image: line.partition for line in lines if line.partition}
    made = "the partition is the table's"
    if "validation" not in sides.values():
        made += ", validation a part of its train"
        train = [line for line in lines if line.partition == "train"]
        if train and train[0].group is not None:
            held_out = _of_groups(train, settings.validation_fraction, (settings.split_seed, 1))
        else:
            held_out = choose_validation(train, settings.validation_fraction, settings.split_seed)
        sides |= dict.fromkeys(held_out, "validation")  # type: ignore[arg-type]
    learnt, tested = (
        {line.group for line in lines if line.group and (sides[line.image] == "test") == test} for test in (False, True)
    )
    both = sorted(learnt & tested)
    if both:
        raise DataError(
            f"{len(both)} groups of the table are in test and in train or validation by its partition ({', '.join(both[:5])}"
            f"{', …' if len(both) > 5 else ''}), so that the test would flatter: correct it, or take the partition's column out and "
            "the split is made here, by group"
        )
    return Split(sides, made)


def _split_here(lines: Sequence[Annotation], settings: PrepareMhist) -> Split:
    test = _of_groups(lines, settings.test_fraction, (settings.split_seed, 0))
    rest = [line for line in lines if line.image not in test]
    validation = _of_groups(rest, settings.validation_fraction, (settings.split_seed, 1))
    sides: dict[str, Partition] = {line.image: "train" for line in rest}
    sides |= dict.fromkeys(validation, "validation") | dict.fromkeys(test, "test")  # type: ignore[arg-type]
    if lines[0].group is not None:
        return Split(sides, "split here by group, stratified by label: no group is on two sides")
    return Split(
        sides,
        "split here by patch, stratified by label",
        (
            "The table names no group, such as a patient, and the split is by patch: patches of one patient may have been learnt "
            "from and tested on, so that the figures flatter. Name the column with 'group-column'.",
        ),
    )


def _of_groups(lines: Sequence[Annotation], fraction: float, seed: Sequence[int]) -> set[str]:
    """Images of whole groups, about ``fraction`` of each class; a patch without a group is one of its own."""
    labels: dict[str, list[int]] = {}
    for line in lines:
        labels.setdefault(line.group or line.image, []).append(line.label)
    chosen = hold_out_groups(labels, fraction, seed)
    return {line.image for line in lines if (line.group or line.image) in chosen}


def choose_validation(table: Iterable[Annotation], fraction: float, seed: int) -> set[str]:
    """Images of the train partition to keep aside: ``fraction`` of each class, and of its votes as near as whole patches allow.

    The same table in any order and the same ``seed`` give the same images; each class keeps at least one on either side.
    """
    train = [line for line in table if line.partition == "train"]
    classes = [
        {
            votes: [line.image for line in train if (line.label, line.votes or 0) == (label, votes)]
            for votes in range(ANNOTATORS + 1)
        }
        for label in (0, 1)
    ]
    return hold_out(classes, fraction, seed)


def _check_partitions(table: Annotations, settings: PrepareMhist) -> None:
    lines = table.lines
    counts = {name: sum(line.partition == name for line in lines) for name in PUBLISHED}
    if table.published and settings.published_counts and counts != PUBLISHED:
        raise DataError(
            f"the table has {counts['train']:,} train and {counts['test']:,} test patches and MHIST has 2,175 and 977: "
            f"give the whole table, or set 'published-counts' to false for a subset"
        )
    given = any(line.partition == "validation" for line in lines)
    for name in PUBLISHED:
        for label, word in enumerate(settings.labels):
            count = sum(line.partition == name and line.label == label for line in lines)
            if count < (2 if name == "train" and not given else 1):
                raise DataError(f"the table has {count} {word} patches in {name}, too few to learn from or to test on: add some")


def _check_sides(lines: Sequence[Annotation], sides: Mapping[str, Partition], settings: PrepareMhist) -> None:
    for split in SPLITS:
        for label, word in enumerate(settings.labels):
            if not any(sides[line.image] == split and line.label == label for line in lines):
                groups = len({line.group or line.image for line in lines if line.label == label})
                raise DataError(
                    f"no {word} patch is in {split}, of {groups} groups with any: add patients or patches, take another 'seed', or give "
                    "the partition in a column of the table"
                )

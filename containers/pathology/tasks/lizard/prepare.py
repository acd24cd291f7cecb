"""Lizard in CoNIC's form, checked and split once: patches.csv and dataset.json. The arrays, 2.3 GB, are not copied but proven."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pathology.contracts.errors import DataError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.lizard.patches import SPLITS, NucleiDataset, NucleiPatchRow, SplitFigures
from pathology.contracts.lizard.prepare import PrepareLizard
from pathology.contracts.staging import StagingRow
from pathology.contracts.uris import Uri
from pathology.tasks.lizard.arrays import IMAGES, LABELS, staged_name
from pathology.tasks.lizard.conic import Conic, read_conic
from pathology.tasks.lizard.split import sources_of, split, strata


def prepare(folder: Path, settings: PrepareLizard) -> tuple[list[NucleiPatchRow], NucleiDataset]:
    """Check the data set in ``folder`` and split it; rows in the arrays' order.

    Raises:
        DataError: in one line that names what is wrong.
    """
    conic = read_conic(folder, settings.classes)
    rows = split(conic.names, conic.nuclei.sum(axis=1).tolist(), settings)
    figures = {name: _figures(rows, conic, name) for name in SPLITS}
    for name, side in figures.items():
        if not side.nuclei:
            raise DataError(
                f"no nucleus lies in the split {name}: choose another 'fold' (Fold) or 'split-seed' (SplitSeed), or add source images"
            )
    dataset = NucleiDataset(
        classes=conic.classes,
        side=conic.side,
        patches=len(rows),
        images_sha256=sha256_of(folder / IMAGES),
        labels_sha256=sha256_of(folder / LABELS),
        patches_sha256=hashlib.sha256(NucleiPatchRow.table(rows)).hexdigest(),
        fold=settings.fold,
        settings=settings.model_dump(mode="json", include=set(PrepareLizard.model_fields)),
        pooled=tuple(pooled for pooled in strata(sources_of(conic.names)).values() if len(pooled) > 1),
        splits=figures,
        identical=conic.identical,
    )
    return rows, dataset


def _figures(rows: Sequence[NucleiPatchRow], conic: Conic, name: str) -> SplitFigures:
    side = [row for row in rows if row.split == name]
    nuclei = conic.nuclei[[row.index for row in side]].sum(axis=0).tolist()
    classes = dict(zip(conic.classes, nuclei, strict=True))
    return SplitFigures(sources=len({row.source for row in side}), patches=len(side), nuclei=sum(nuclei), classes=classes)


def staging(dataset: NucleiDataset, source: Uri) -> list[StagingRow]:
    """What training reads of the data set in the folder ``source``: the two arrays, staged by content."""
    return [
        StagingRow(uri=str(source / name), sha256=sha256, target=staged_name(sha256))
        for name, sha256 in ((IMAGES, dataset.images_sha256), (LABELS, dataset.labels_sha256))
    ]


def describe(rows: Sequence[NucleiPatchRow], dataset: NucleiDataset) -> str:
    """A few lines to read in a log."""
    lines = []
    for name, side in dataset.splits.items():
        lines.append(f"{name:<11}{side.patches:>6} patches of {side.sources} source images, {side.nuclei:,} nuclei")
        absent = [word for word, count in side.classes.items() if not count]
        if absent:
            lines.append(f"warning: no {' and no '.join(absent)} in {name}: nothing is learnt of them or measured")
    lines += [f"cohorts {' and '.join(names)} are too small to stratify alone and count as one" for names in dataset.pooled]
    if dataset.identical:
        copies = sum(map(len, dataset.identical)) - len(dataset.identical)
        lines.append(f"warning: {copies} patches have the very pixels of another; dataset.json lists them under 'identical'")
    sides = {row.name: row.split for row in rows}
    groups = [[sides[name] for name in names] for names in dataset.identical]
    if leaked := sum(group.count("test") for group in groups if set(group) != {"test"}):
        lines.append(f"warning: {leaked} test patches are learnt from as well: take them out, or the evaluation refuses them")
    return "\n".join(lines)

"""EvaluateLizard: the packaged model on the test patches, through the functions that serve it → scores, predictions, report."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Bounds, Estimate
from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import Spread
from pathology.contracts.lizard.evaluate import EvaluateLizard, NucleiScoreRow
from pathology.contracts.lizard.patches import TABLE, NucleiDataset
from pathology.contracts.media import GEOJSON, IMAGES, NPY
from pathology.encoders.job_encoder import find_encoder
from pathology.evaluation import check_seen, identity, load_packaged, origin, write_evaluation
from pathology.job import Job, run
from pathology.metrics.panoptic import detect
from pathology.tasks.lizard import baseline, serving
from pathology.tasks.lizard.artefact import LizardConfig, LizardModel
from pathology.tasks.lizard.dataset import Nuclei, read_prepared
from pathology.tasks.lizard.evaluation import Predicted, Simple, evaluate
from pathology.tasks.lizard.learned_from import items
from pathology.tasks.lizard.report import Example, render
from pathology.tasks.lizard.rows import patch_rows


def main(job: Job) -> None:
    """Predict every test patch, score them, write evaluation.json, predictions.csv and report.html."""
    settings = job.hyperparameters(EvaluateLizard)
    patches, dataset = read_prepared(job.input("patches"))
    test = sorted((row for row in patches if row.split == "test"), key=lambda row: row.name)
    nuclei = Nuclei(job.input("dataset"), test, dataset)
    model: LizardModel
    model, learned_from, _ = load_packaged(job, serving, find_encoder(job)[0])
    check_classes(model.config, dataset)
    seen = check_seen(learned_from, items(nuclei), "patches", settings)
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        maps = spool(Path(folder) / "predicted.npy", nuclei, dataset, model)
        predicted = score(nuclei, maps, dataset.classes)
        train = Nuclei(job.input("dataset"), [row for row in patches if row.split == "train"], dataset, verify=False)
        simple = beside(train, nuclei, dataset.classes)
        evaluation = evaluate(predicted, simple, seen, dataset, model, identity(job, model, serving), where(job), settings)
        page = render(evaluation, predicted.rows, lambda name: example(name, nuclei, maps))
    write_evaluation(job, evaluation, NucleiScoreRow.table(predicted.rows), page)
    block = evaluation.pathology
    print(f"{block.n} patches of {block.sources} source images, {block.nuclei:,} nuclei, {block.predicted:,} found")
    for name, measured in block.intervals.items():
        print(f"{name} {words(measured, block.confidence)}")


def words(measured: Estimate, confidence: float) -> str:
    """A value with its interval, or with its range and why that is none."""
    if isinstance(measured, Bounds):
        return str(Interval(measured.value, measured.low, measured.high, 0.0, confidence))
    return str(Spread(measured.value, measured.lowest, measured.highest, measured.clusters, 0.0))


def beside(train: Nuclei, test: Nuclei, classes: Sequence[str]) -> Simple:
    """Fit the baseline on the train side, and what it makes of the test patches."""
    simple = baseline.fit(train, len(classes))
    print(f"baseline: {baseline.WORDS}; fitted on {simple.patches:,} of {len(train):,} patches of the train side", flush=True)
    return Simple(simple, list(baseline.outline(simple, test, classes)))


def where(job: Job) -> dict[str, Any]:
    """The fields of evaluation.json that say where numbers come from."""
    arrays = {name: ("dataset", job.input("dataset") / f"{name}.npy") for name in ("images", "labels")}
    return origin(job, patches=("patches", job.input("patches") / TABLE), **arrays)


def check_classes(config: LizardConfig, dataset: NucleiDataset) -> None:
    """Refuse a model whose class numbers mean something else here.

    Raises:
        DataError: naming both lists of classes.
    """
    if config.classes != dataset.classes:
        raise DataError(
            f"the model knows {', '.join(config.classes)} and the patches have {', '.join(dataset.classes)}: "
            "give the data set that it was trained for"
        )


def spool(path: Path, nuclei: Nuclei, dataset: NucleiDataset, model: LizardModel) -> np.ndarray:
    """Ask of each patch as the endpoint would be asked, through all four functions: label maps (n, S, S, 2) uint16, mapped from ``path``.

    The maps are on disk because the report draws some of them, and which is known at the end only.

    Raises:
        DataError: naming the patch whose two answers, label map and GeoJSON, have different nuclei.
    """
    maps = np.lib.format.open_memmap(path, "w+", np.uint16, (len(nuclei), dataset.side, dataset.side, 2))
    for start in range(0, len(nuclei), serving.BATCH):
        indices = range(start, min(start + serving.BATCH, len(nuclei)))
        images = [serving.input_fn(nuclei.png(index), IMAGES[0]) for index in indices]
        for index, prediction in zip(indices, serving.predict_fn(images, model), strict=True):
            maps[index] = answered(prediction, nuclei.rows[index].name)
    return maps


def answered(prediction: serving.Prediction, name: str) -> np.ndarray:
    """The label map (H, W, 2) that the endpoint would answer of the patch ``name``, once its GeoJSON is proven to have the same nuclei."""
    labels: np.ndarray = np.load(io.BytesIO(serving.output_fn(prediction, NPY)), allow_pickle=False)
    outlined, found = (
        len(json.loads(serving.output_fn(prediction, GEOJSON))["features"]),
        np.count_nonzero(np.unique(labels[..., 0])),
    )
    if outlined != found:
        raise DataError(
            f"patch {name}: the endpoint's GeoJSON has {outlined} nuclei and its label map {found}: correct what writes them"
        )
    return labels


def score(nuclei: Nuclei, maps: np.ndarray, classes: Sequence[str]) -> Predicted:
    """Hold label maps (n, S, S, 2) against the truth of ``nuclei``, patch by patch."""
    predicted = Predicted([], [], [row.source for row in nuclei.rows])
    for index, row in enumerate(nuclei.rows):
        _, true = nuclei[index]
        predicted.rows.extend(patch_rows(row.name, row.source, true, maps[index], classes))
        predicted.detections.append(detect(true, maps[index], len(classes)))
    return predicted


def example(name: str, nuclei: Nuclei, maps: np.ndarray) -> Example:
    """A patch for the report, by name."""
    index = next(index for index, row in enumerate(nuclei.rows) if row.name == name)
    image, true = nuclei[index]
    return Example(image, true, np.array(maps[index]))


if __name__ == "__main__":
    run(main)

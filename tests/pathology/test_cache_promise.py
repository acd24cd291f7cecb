"""What a change recomputes: the module that changes, and the commands whose code's hash moves. Written by hand, asserted whole.

A step is answered from the cache while its command's hash stays. So each row says of every command that it moves (``x``) or that
it must not (``.``): ``msi`` are prepare_msi, train_msi_tcga, evaluate_msi, compare_msi; ``mhist`` and ``lizard`` prepare, train, evaluate and
compare;
``slides`` extract_features and collect_features; ``all`` stage, serve and describe; ``ask`` prepare_slides_msi and predict_msi.
"""

import shutil

import pytest
from pathology.contracts.code import ROOT, command_code

COMMANDS = (
    *("extract_features", "collect_features"),
    *("prepare_msi", "train_msi_tcga", "evaluate_msi", "compare_msi"),
    *("prepare_mhist", "train_mhist", "evaluate_mhist", "compare_mhist"),
    *("prepare_lizard", "train_lizard", "evaluate_lizard", "compare_lizard"),
    *("stage", "serve", "describe"),
    *("prepare_slides_msi", "predict_msi"),
)

TABLE = """
                                    slides msi  mhist lizard all ask
job.py                              xx     xxxx xxxx  xxxx   xxx xx
storage.py                          xx     xxxx x..x  x..x   x.. xx
asked.py                            ..     ...x ...x  ...x   ... xx
prepared.py                         ..     x... x...  x...   ... x.
artefact.py                         ..     .xx. .xx.  .xx.   ... ..
evaluation.py                       ..     ..x. ..x.  ..x.   ... ..
learned_from.py                     ..     ..xx ..xx  ..xx   ... xx
drift.py                            ..     ..x. ..x.  ..x.   ... ..
unpacking.py                        ..     ..xx ..xx  ..xx   ... xx
staging.py                          ..     .... ....  ....   x.. ..
host.py                             x.     .xxx .x..  .x..   .x. .x
workers.py                          x.     .... ....  ....   ... ..
images.py                           ..     .... xxxx  .xx.   ... ..
colours.py                          x.     .... .x..  .x..   ... ..
export.py                           ..     .... ....  ....   ... ..
geojson.py                          x.     .xx. ....  .xx.   ... ..
registry.py                         ..     ...x ...x  ...x   ..x x.
peer_layouts.py                     ..     .... ....  ....   ... ..
champion.py                         ..     ...x ...x  ...x   ... x.
rerun/asking.py                     ..     ...x ...x  ...x   ... xx
rerun/driver.py                     ..     ...x ...x  ...x   ... xx
rerun/process.py                    ..     ...x ...x  ...x   ... xx
rerun/version.py                    ..     ...x ...x  ...x   ... xx

contracts/errors.py                 xx     xxxx xxxx  xxxx   xxx xx
contracts/refusals.py               ..     ...x ...x  ...x   ..x xx
contracts/uris.py                   xx     xxxx xxxx  xxxx   xxx xx
contracts/settings.py               xx     xxxx xxxx  xxxx   xxx xx
contracts/tables.py                 xx     xxxx xxxx  xxxx   x.. xx
contracts/strict_json.py            xx     xxxx xxxx  xxxx   x.x xx
contracts/hashes.py                 xx     xxxx xxxx  xxxx   x.x xx
contracts/artefact.py               ..     .xxx .xxx  .xxx   ... xx
contracts/learned_from.py           ..     .xxx .xxx  .xxx   ... xx
contracts/drift.py                  ..     .xxx .xxx  .xxx   ..x xx
contracts/colours.py                x.     .xxx .xxx  .xxx   ..x xx
contracts/prepared.py               ..     x... x...  x...   ... x.
contracts/runs.py                   ..     ..xx ..xx  ..xx   ..x xx
contracts/history.py                ..     .xxx .xxx  .xxx   ..x xx
contracts/identifiers.py            .x     xxxx xxxx  .xxx   ... xx
contracts/code.py                   ..     .xx. .xx.  .xx.   ... ..
contracts/blank.py                  ..     .xx. .xx.  .xx.   ... ..
contracts/media.py                  ..     .xxx .xxx  .xxx   .x. .x
contracts/log_lines.py              x.     .x.. .x..  .x..   ... ..
contracts/intervals/interval.py     ..     .xxx ..xx  ..xx   ..x xx
contracts/intervals/binary.py       ..     .xxx ..xx  ..xx   ..x xx
contracts/intervals/clusters.py     ..     ..xx ..xx  ..xx   ..x xx
contracts/intervals/paired.py       ..     ...x ...x  ...x   ... xx
contracts/operating_points.py       ..     .xxx .xx.  .xx.   ... xx
contracts/binary.py                 ..     ..xx ..x.  ....   ... xx
contracts/evaluation.py             ..     ..xx ..xx  ..xx   ..x xx
contracts/encoder.py                xx     xxxx xxxx  xxxx   x.x xx
contracts/features.py               xx     .... ....  ....   ... x.
contracts/fine_tuning.py            ..     .... .xx.  .xx.   ... ..
contracts/staging.py                .x     .... x...  x...   x.. ..
contracts/patches.py                ..     .... xxxx  ....   ... ..
contracts/cohort.py                 xx     xxxx ....  ....   ... xx
contracts/companion.py              x.     x... ....  ....   ... x.
contracts/cohort_flow.py            .x     x.xx ....  ....   ... xx
contracts/data_check.py             ..     x... x...  x...   ... x.
contracts/comparison/result.py      ..     ...x ...x  ...x   ... xx
contracts/comparison/items.py       ..     ...x ...x  ...x   ... xx
contracts/comparison/binary.py      ..     ...x ...x  ...x   ... xx
contracts/comparison/gate.py        ..     ...x ...x  ...x   ... x.
contracts/comparison/planning.py    ..     .... ....  ....   ... ..
contracts/description/schema.py     ..     .... ....  ....   ..x ..
contracts/description/evaluated.py  ..     .... ....  ....   ..x ..
contracts/description/card.py       ..     .... ....  ....   ..x ..
contracts/description/writing.py    ..     .... ....  ....   ..x ..
contracts/description/same.py       ..     .... ....  ....   ..x ..
contracts/description/describe.py   ..     .... ....  ....   ..x ..
contracts/comparison/file.py        ..     ...x ...x  ...x   ... x.
contracts/comparison/reading.py     ..     ...x ...x  ...x   ... xx
contracts/extraction/slides.py      xx     x... ....  ....   ... x.
contracts/extraction/tiling.py      xx     .... ....  ....   ... x.
contracts/extraction/extract.py     x.     .... ....  ....   ... ..
contracts/extraction/collect.py     .x     .... ....  ....   ... ..
contracts/extraction/made_with.py   .x     .... ....  ....   ... x.
contracts/msi/prepare.py            ..     x... ....  ....   ... x.
contracts/msi/train.py              ..     .x.. ....  ....   ... ..
contracts/msi/evaluate.py           ..     ..xx ....  ....   ... xx
contracts/msi/comparison.py         ..     ...x ....  ....   ... x.
contracts/msi/prepare_slides.py     ..     .... ....  ....   ... x.
contracts/msi/batch.py              ..     .... ....  ....   ... xx
contracts/msi/predict.py            ..     .... ....  ....   ... .x
contracts/mhist/patches.py          ..     .... xxxx  ....   ... ..
contracts/mhist/prepare.py          ..     .... x...  ....   ... ..
contracts/mhist/train.py            ..     .... .x..  ....   ... ..
contracts/mhist/evaluate.py         ..     .... ..x.  ....   ... ..
contracts/mhist/comparison.py       ..     .... ...x  ....   ... ..
contracts/lizard/patches.py         ..     .... ....  xxxx   ... ..
contracts/lizard/prepare.py         ..     .... ....  x...   ... ..
contracts/lizard/train.py           ..     .... ....  .x..   ... ..
contracts/lizard/evaluate.py        ..     .... ....  ..xx   ... ..
contracts/lizard/published.py       ..     .... ....  ..xx   ... ..

cohort/columns.py                   ..     x... ....  ....   ... x.
cohort/earlier.py                   ..     x... ....  ....   ... ..
cohort/nearest.py                   ..     x... ....  ....   ... x.
cohort/table.py                     ..     x... ....  ....   ... x.
cohort/slides.py                    ..     x... ....  ....   ... x.
cohort/slide_ids.py                 ..     x... ....  ....   ... xx
cohort/formats.py                   ..     x... ....  ....   ... xx
cohort/listed.py                    ..     x... ....  ....   ... x.
cohort/same_slide.py                ..     x... ....  ....   ... ..
cohort/cohort.py                    ..     x... ....  ....   ... ..
cohort/join.py                      ..     x... ....  ....   ... x.
cohort/labels.py                    ..     x... ....  ....   ... x.
cohort/label_table.py               ..     x... ....  ....   ... ..
cohort/masks.py                     ..     x... ....  ....   ... ..
cohort/tcga.py                      ..     x... ....  ....   ... x.
cohort/unlabelled.py                ..     .... ....  ....   ... x.
cohort/split.py                     ..     x... ....  ....   ... x.
cohort/allocation.py                ..     .... x...  x...   ... ..

encoders/manifest.py                xx     .xx. .xx.  .xx.   x.. ..
encoders/job_encoder.py             xx     .xx. .xx.  .xx.   x.. ..
encoders/encoder.py                 x.     .... .xx.  .xx.   ... ..
encoders/from_bytes.py              x.     .... .xx.  .xx.   ... ..
encoders/adapters.py                ..     .... .xx.  .xx.   ... ..
encoders/memory.py                  x.     .... .xx.  .xx.   ... ..
encoders/embedding_cache.py         ..     .... .x..  ....   ... ..
encoders/tiny.py                    ..     .... ....  ....   ... ..

wsi/readers.py                      x.     .... ....  ....   ... ..
wsi/pyramid.py                      x.     .... ....  ....   ... ..
wsi/facts.py                        x.     .... ....  ....   ... ..
wsi/mpp.py                          x.     .... ....  ....   ... ..
wsi/reader.py                       x.     .... ....  ....   ... ..
wsi/openslide_reader.py             x.     .... ....  ....   ... ..
wsi/cucim_reader.py                 x.     .... ....  ....   ... ..
wsi/tiff.py                         x.     .... ....  ....   ... ..
wsi/tiff_reader.py                  x.     .... ....  ....   ... ..
wsi/tile_decoders.py                x.     .... ....  ....   ... ..
wsi/tile_errors.py                  x.     .... ....  ....   ... ..
wsi/jpeg_tiles.py                   x.     .... ....  ....   ... ..
wsi/jpeg2000_tiles.py               x.     .... ....  ....   ... ..
wsi/packed_tiles.py                 x.     .... ....  ....   ... ..
wsi/tile_store.py                   x.     .... ....  ....   ... ..
wsi/flat.py                         x.     .... ....  ....   ... ..
wsi/tissue.py                       x.     .... ....  ....   ... ..
wsi/reader_threads.py               x.     .... ....  ....   ... ..
wsi/glass.py                        x.     .... ....  ....   ... ..
wsi/ink.py                          x.     .... ....  ....   ... ..
wsi/own_mask.py                     x.     .... ....  ....   ... ..
wsi/prefetch.py                     x.     .... ....  ....   ... ..
wsi/claims.py                       x.     .... ....  ....   ... ..
wsi/layout.py                       xx     .... ....  ....   ... x.
wsi/features.py                     x.     .xxx ....  ....   ... .x

training/epochs.py                  ..     .... .x..  .x..   ... ..
training/batches.py                 ..     .... .x..  .x..   ... ..
training/augmentation.py            ..     .... .x..  .x..   ... ..
training/checkpoints.py             ..     .x.. .x..  .x..   ... ..
training/lightning_logs.py          ..     .x.. .x..  .x..   ... ..
training/logistic.py                ..     .xx. .xx.  ..x.   ... ..
training/baseline.py                ..     .xx. .xx.  ..x.   ... ..
training/drift.py                   ..     .x.. .x..  .x..   ... ..

patches/files.py                    ..     .... x...  ....   ... ..
patches/columns.py                  ..     .... x...  ....   ... ..
patches/groups.py                   ..     .... x...  ....   ... ..
patches/prepare.py                  ..     .... x...  ....   ... ..
patches/dataset.py                  ..     .... .xxx  ....   ... ..
patches/head.py                     ..     .... .xx.  ....   ... ..
patches/probe.py                    ..     .... .x..  ....   ... ..
patches/classifier.py               ..     .... .xx.  ....   ... ..
patches/training.py                 ..     .... .x..  ....   ... ..
patches/learning.py                 ..     .... .x..  ....   ... ..
patches/eva.py                      ..     .... .x..  ....   ... ..
patches/artefact.py                 ..     .... .xx.  ....   ... ..
patches/serving.py                  ..     .... .xx.  ....   ... ..
patches/learned_from.py             ..     .... .xxx  ....   ... ..
patches/drift.py                    ..     .... .x..  ....   ... ..
patches/asking.py                   ..     .... ...x  ....   ... ..
patches/evaluation.py               ..     .... ..x.  ....   ... ..

nuclei/watershed.py                 ..     .... ....  .xx.   ... ..
nuclei/outlines.py                  ..     .... ....  .xx.   ... ..
nuclei/targets.py                   ..     .... ....  .x..   ... ..

metrics/ranking.py                  ..     .xx. .xx.  ..x.   ... ..
metrics/baseline.py                 ..     ..x. ..x.  ....   ... ..
metrics/binary.py                   ..     ..x. ..x.  ....   ... ..
metrics/panoptic.py                 ..     .... ....  .xxx   ... ..
metrics/centroids.py                ..     .... ....  ..xx   ... ..

report/page.py                      ..     ..x. ..x.  ..x.   ... ..
report/style.py                     ..     ..x. ..x.  ..x.   ... ..
report/tables.py                    ..     ..x. ..x.  ..x.   ... .x
report/sorting.js                   ..     ..x. ..x.  ..x.   ... .x
report/scale.py                     ..     .... ..x.  ..x.   ... ..
report/scale.html.j2                ..     .... ..x.  ..x.   ... ..
report/origin.py                    ..     ..x. ..x.  ..x.   ... ..
report/losses.py                    ..     ..x. ..x.  ..x.   ... ..
report/figures.py                   ..     ..x. ..x.  ....   ... ..
report/base.html.j2                 ..     ..x. ..x.  ..x.   ... .x
report/warnings.py                  ..     ..x. ..x.  ..x.   ... ..
report/binary.py                    ..     ..x. ..x.  ....   ... ..
report/binary.html.j2               ..     ..x. ..x.  ....   ... ..
report/baseline.py                  ..     ..x. ..x.  ....   ... ..
report/baseline.html.j2             ..     ..x. ..x.  ....   ... ..
report/points.py                    ..     ..x. ..x.  ....   ... ..
report/points.html.j2               ..     ..x. ..x.  ....   ... ..
report/calibration.py               ..     ..x. ..x.  ....   ... ..
report/calibration.html.j2          ..     ..x. ..x.  ....   ... ..
report/batch.py                     ..     .... ....  ....   ... .x
report/batch.html.j2                ..     .... ....  ....   ... .x

serving/accept.py                   ..     .xx. .xx.  .xx.   ... ..
serving/app.py                      ..     .x.. .x..  .x..   .x. ..
serving/batching.py                 ..     .x.. .x..  .x..   .x. ..
serving/named.py                    ..     .xx. .x..  .x..   .x. ..

tasks/msi/dataset.py                ..     .xxx ....  ....   ... .x
tasks/msi/model.py                  ..     .xx. ....  ....   ... ..
tasks/msi/training.py               ..     .x.. ....  ....   ... ..
tasks/msi/baseline.py               ..     .xx. ....  ....   ... ..
tasks/msi/calibration.py            ..     .x.. ....  ....   ... ..
tasks/msi/folds.py                  ..     .x.. ....  ....   ... ..
tasks/msi/artefact.py               ..     .xx. ....  ....   ... ..
tasks/msi/serving.py                ..     .xx. ....  ....   ... ..
tasks/msi/patients.py               ..     .xx. ....  ....   ... ..
tasks/msi/attention.py              ..     .xx. ....  ....   ... ..
tasks/msi/learned_from.py           ..     .xxx ....  ....   ... .x
tasks/msi/drift.py                  ..     .x.. ....  ....   ... ..
tasks/msi/asking.py                 ..     ...x ....  ....   ... .x
tasks/msi/report.py                 ..     ..x. ....  ....   ... ..
tasks/msi/slides.py                 ..     ..x. ....  ....   ... ..
tasks/msi/report.html.j2            ..     ..x. ....  ....   ... ..
tasks/msi/batch.py                  ..     .... ....  ....   ... x.
tasks/msi/chosen.py                 ..     .... ....  ....   ... x.
tasks/msi/predicting.py             ..     .... ....  ....   ... .x
tasks/msi/predictions.py            ..     .... ....  ....   ... .x
tasks/mhist/prepare.py              ..     .... x...  ....   ... ..
tasks/mhist/table.py                ..     .... x...  ....   ... ..
tasks/mhist/split.py                ..     .... x...  ....   ... ..
tasks/mhist/dataset.py              ..     .... .xx.  ....   ... ..
tasks/mhist/training.py             ..     .... .x..  ....   ... ..
tasks/mhist/baseline.py             ..     .... .xx.  ....   ... ..
tasks/mhist/agreement.py            ..     .... ..x.  ....   ... ..
tasks/mhist/protocol.py             ..     .... ..x.  ....   ... ..
tasks/mhist/artefact.py             ..     .... .xx.  ....   ... ..
tasks/mhist/serving.py              ..     .... .xx.  ....   ... ..
tasks/mhist/report.py               ..     .... ..x.  ....   ... ..
tasks/mhist/report.html.j2          ..     .... ..x.  ....   ... ..
tasks/lizard/prepare.py             ..     .... ....  x...   ... ..
tasks/lizard/conic.py               ..     .... ....  x...   ... ..
tasks/lizard/arrays.py              ..     .... ....  xxxx   ... ..
tasks/lizard/split.py               ..     .... ....  x...   ... ..
tasks/lizard/dataset.py             ..     .... ....  .xxx   ... ..
tasks/lizard/model.py               ..     .... ....  .xx.   ... ..
tasks/lizard/batches.py             ..     .... ....  .x..   ... ..
tasks/lizard/prediction.py          ..     .... ....  .xx.   ... ..
tasks/lizard/losses.py              ..     .... ....  .x..   ... ..
tasks/lizard/training.py            ..     .... ....  .x..   ... ..
tasks/lizard/artefact.py            ..     .... ....  .xx.   ... ..
tasks/lizard/serving.py             ..     .... ....  .xx.   ... ..
tasks/lizard/learned_from.py        ..     .... ....  .xxx   ... ..
tasks/lizard/drift.py               ..     .... ....  .x..   ... ..
tasks/lizard/asking.py              ..     .... ....  ...x   ... ..
tasks/lizard/scores.py              ..     .... ....  ..xx   ... ..
tasks/lizard/rows.py                ..     .... ....  ..xx   ... ..
tasks/lizard/sums.py                ..     .... ....  ..xx   ... ..
tasks/lizard/images.py              ..     .... ....  ..xx   ... ..
tasks/lizard/typed.py               ..     .... ....  ..x.   ... ..
tasks/lizard/comparison.py          ..     .... ....  ...x   ... ..
tasks/lizard/baseline.py            ..     .... ....  ..x.   ... ..
tasks/lizard/evaluation.py          ..     .... ....  ..x.   ... ..
tasks/lizard/warnings.py            ..     .... ....  ..x.   ... ..
tasks/lizard/report.py              ..     .... ....  ..x.   ... ..
tasks/lizard/figures.py             ..     .... ....  ..x.   ... ..
tasks/lizard/report.html.j2         ..     .... ....  ..x.   ... ..
"""


def table() -> dict[str, set[str]]:
    """Module → the commands that it moves."""
    rows = {}
    for line in TABLE.splitlines()[2:]:
        if line:
            module, *groups = line.split()
            marks = "".join(groups)
            assert len(marks) == len(COMMANDS), line
            assert set(marks) <= {"x", "."}, line
            rows[module] = {command for command, mark in zip(COMMANDS, marks, strict=True) if mark == "x"}
    return rows


def test_every_command_has_a_column():
    assert sorted(COMMANDS) == sorted(path.stem for path in (ROOT / "pathology" / "commands").glob("[a-z]*.py"))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package that a test may change, and every command's hash in it."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "pathology", folder / "pathology", ignore=shutil.ignore_patterns("__pycache__"))
    return folder, {command: command_code(command, folder).hash for command in COMMANDS}


def test_a_change_moves_the_commands_that_the_table_names_and_no_other(package):
    folder, before = package
    found = {}
    for module in table():
        path = folder / "pathology" / module
        content = path.read_bytes()
        path.write_bytes(content + b"\nCHANGED = True\n")
        found[module] = {command for command in COMMANDS if command_code(command, folder).hash != before[command]}
        path.write_bytes(content)
    assert found == table()

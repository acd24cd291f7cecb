"""What a change recomputes: the module that changes, and the commands whose code's hash moves. Written by hand, asserted whole.

A step is answered from the cache while its command's hash stays. So each row says of every command that it moves (``x``) or that
it must not (``.``): ``msi`` are prepare_msi, train_msi_tcga, evaluate_msi; ``mhist`` and ``lizard`` prepare, train and evaluate;
``slides`` extract_features and collect_features; ``all`` stage and serve.
"""

import shutil

import pytest
from pathology.contracts.code import ROOT, command_code

COMMANDS = (
    *("extract_features", "collect_features"),
    *("prepare_msi", "train_msi_tcga", "evaluate_msi"),
    *("prepare_mhist", "train_mhist", "evaluate_mhist"),
    *("prepare_lizard", "train_lizard", "evaluate_lizard"),
    *("stage", "serve"),
)

TABLE = """
                                    slides msi mhist lizard all
job.py                              xx     xxx xxx   xxx    xx
storage.py                          xx     xxx x..   x..    x.
prepared.py                         ..     x.. x..   x..    ..
artefact.py                         ..     .xx .xx   .xx    ..
evaluation.py                       ..     ..x ..x   ..x    ..
learned_from.py                     ..     ..x ..x   ..x    ..
staging.py                          ..     ... ...   ...    x.
host.py                             x.     .xx .x.   .x.    .x
workers.py                          x.     ... ...   ...    ..
images.py                           ..     ... xxx   .xx    ..
export.py                           ..     ... ...   ...    ..
peer_layouts.py                     ..     ... ...   ...    ..

contracts/errors.py                 xx     xxx xxx   xxx    xx
contracts/uris.py                   xx     xxx xxx   xxx    xx
contracts/settings.py               xx     xxx xxx   xxx    xx
contracts/tables.py                 xx     xxx xxx   xxx    x.
contracts/strict_json.py            xx     xxx xxx   xxx    x.
contracts/hashes.py                 xx     xxx xxx   xxx    x.
contracts/artefact.py               ..     .xx .xx   .xx    ..
contracts/learned_from.py           ..     .xx .xx   .xx    ..
contracts/prepared.py               ..     x.. x..   x..    ..
contracts/runs.py                   ..     ..x ..x   ..x    ..
contracts/history.py                ..     .xx .xx   .xx    ..
contracts/identifiers.py            .x     xxx xxx   .xx    ..
contracts/code.py                   ..     .xx .xx   .xx    ..
contracts/blank.py                  ..     .xx .xx   .xx    ..
contracts/media.py                  ..     .xx .xx   .xx    .x
contracts/log_lines.py              x.     .x. .x.   .x.    ..
contracts/intervals/interval.py     ..     .xx ..x   ..x    ..
contracts/intervals/binary.py       ..     .xx ..x   ..x    ..
contracts/intervals/clusters.py     ..     ..x ..x   ..x    ..
contracts/intervals/paired.py       ..     ... ...   ...    ..
contracts/operating_points.py       ..     .xx .xx   .xx    ..
contracts/binary.py                 ..     ..x ..x   ...    ..
contracts/evaluation.py             ..     ..x ..x   ..x    ..
contracts/encoder.py                xx     xxx xxx   xxx    x.
contracts/features.py               xx     ... ...   ...    ..
contracts/fine_tuning.py            ..     ... .xx   .xx    ..
contracts/staging.py                .x     ... x..   x..    x.
contracts/patches.py                ..     ... xxx   ...    ..
contracts/cohort.py                 xx     xxx ...   ...    ..
contracts/companion.py              x.     x.. ...   ...    ..
contracts/cohort_flow.py            .x     x.x ...   ...    ..
contracts/data_check.py             ..     x.. x..   x..    ..
contracts/comparison/result.py      ..     ... ...   ...    ..
contracts/comparison/items.py       ..     ... ...   ...    ..
contracts/comparison/binary.py      ..     ... ...   ...    ..
contracts/comparison/gate.py        ..     ... ...   ...    ..
contracts/comparison/planning.py    ..     ... ...   ...    ..
contracts/extraction/slides.py      xx     x.. ...   ...    ..
contracts/extraction/tiling.py      xx     ... ...   ...    ..
contracts/extraction/extract.py     x.     ... ...   ...    ..
contracts/extraction/collect.py     .x     ... ...   ...    ..
contracts/msi/prepare.py            ..     x.. ...   ...    ..
contracts/msi/train.py              ..     .x. ...   ...    ..
contracts/msi/evaluate.py           ..     ..x ...   ...    ..
contracts/mhist/patches.py          ..     ... xxx   ...    ..
contracts/mhist/prepare.py          ..     ... x..   ...    ..
contracts/mhist/train.py            ..     ... .x.   ...    ..
contracts/mhist/evaluate.py         ..     ... ..x   ...    ..
contracts/lizard/patches.py         ..     ... ...   xxx    ..
contracts/lizard/prepare.py         ..     ... ...   x..    ..
contracts/lizard/train.py           ..     ... ...   .x.    ..
contracts/lizard/evaluate.py        ..     ... ...   ..x    ..
contracts/lizard/published.py       ..     ... ...   ..x    ..

cohort/columns.py                   ..     x.. ...   ...    ..
cohort/earlier.py                   ..     x.. ...   ...    ..
cohort/nearest.py                   ..     x.. ...   ...    ..
cohort/table.py                     ..     x.. ...   ...    ..
cohort/slides.py                    ..     x.. ...   ...    ..
cohort/slide_ids.py                 ..     x.. ...   ...    ..
cohort/formats.py                   ..     x.. ...   ...    ..
cohort/listed.py                    ..     x.. ...   ...    ..
cohort/same_slide.py                ..     x.. ...   ...    ..
cohort/cohort.py                    ..     x.. ...   ...    ..
cohort/join.py                      ..     x.. ...   ...    ..
cohort/labels.py                    ..     x.. ...   ...    ..
cohort/label_table.py               ..     x.. ...   ...    ..
cohort/masks.py                     ..     x.. ...   ...    ..
cohort/tcga.py                      ..     x.. ...   ...    ..
cohort/split.py                     ..     x.. ...   ...    ..
cohort/allocation.py                ..     ... x..   x..    ..

encoders/manifest.py                xx     .xx .xx   .xx    x.
encoders/job_encoder.py             xx     .xx .xx   .xx    x.
encoders/encoder.py                 x.     ... .xx   .xx    ..
encoders/from_bytes.py              x.     ... .xx   .xx    ..
encoders/adapters.py                ..     ... .xx   .xx    ..
encoders/memory.py                  x.     ... .xx   .xx    ..
encoders/embedding_cache.py         ..     ... .x.   ...    ..
encoders/tiny.py                    ..     ... ...   ...    ..

wsi/readers.py                      x.     ... ...   ...    ..
wsi/pyramid.py                      x.     ... ...   ...    ..
wsi/facts.py                        x.     ... ...   ...    ..
wsi/mpp.py                          x.     ... ...   ...    ..
wsi/reader.py                       x.     ... ...   ...    ..
wsi/openslide_reader.py             x.     ... ...   ...    ..
wsi/cucim_reader.py                 x.     ... ...   ...    ..
wsi/tiff.py                         x.     ... ...   ...    ..
wsi/tiff_reader.py                  x.     ... ...   ...    ..
wsi/tile_decoders.py                x.     ... ...   ...    ..
wsi/tile_errors.py                  x.     ... ...   ...    ..
wsi/jpeg_tiles.py                   x.     ... ...   ...    ..
wsi/jpeg2000_tiles.py               x.     ... ...   ...    ..
wsi/packed_tiles.py                 x.     ... ...   ...    ..
wsi/tile_store.py                   x.     ... ...   ...    ..
wsi/flat.py                         x.     ... ...   ...    ..
wsi/tissue.py                       x.     ... ...   ...    ..
wsi/reader_threads.py               x.     ... ...   ...    ..
wsi/glass.py                        x.     ... ...   ...    ..
wsi/ink.py                          x.     ... ...   ...    ..
wsi/own_mask.py                     x.     ... ...   ...    ..
wsi/prefetch.py                     x.     ... ...   ...    ..
wsi/claims.py                       x.     ... ...   ...    ..
wsi/layout.py                       xx     ... ...   ...    ..
wsi/features.py                     x.     .xx ...   ...    ..

training/epochs.py                  ..     ... .x.   .x.    ..
training/batches.py                 ..     ... .x.   .x.    ..
training/augmentation.py            ..     ... .x.   .x.    ..
training/checkpoints.py             ..     .x. .x.   .x.    ..
training/lightning_logs.py          ..     .x. .x.   .x.    ..
training/logistic.py                ..     .xx .xx   ..x    ..
training/baseline.py                ..     .xx .xx   ..x    ..

patches/files.py                    ..     ... x..   ...    ..
patches/columns.py                  ..     ... x..   ...    ..
patches/groups.py                   ..     ... x..   ...    ..
patches/prepare.py                  ..     ... x..   ...    ..
patches/dataset.py                  ..     ... .xx   ...    ..
patches/head.py                     ..     ... .xx   ...    ..
patches/probe.py                    ..     ... .x.   ...    ..
patches/classifier.py               ..     ... .xx   ...    ..
patches/training.py                 ..     ... .x.   ...    ..
patches/learning.py                 ..     ... .x.   ...    ..
patches/eva.py                      ..     ... .x.   ...    ..
patches/artefact.py                 ..     ... .xx   ...    ..
patches/serving.py                  ..     ... .xx   ...    ..
patches/learned_from.py             ..     ... .xx   ...    ..
patches/evaluation.py               ..     ... ..x   ...    ..

nuclei/watershed.py                 ..     ... ...   .xx    ..
nuclei/outlines.py                  ..     ... ...   .xx    ..
nuclei/targets.py                   ..     ... ...   .x.    ..

metrics/ranking.py                  ..     .xx .xx   ..x    ..
metrics/baseline.py                 ..     ..x ..x   ...    ..
metrics/binary.py                   ..     ..x ..x   ...    ..
metrics/panoptic.py                 ..     ... ...   .xx    ..
metrics/centroids.py                ..     ... ...   ..x    ..

report/page.py                      ..     ..x ..x   ..x    ..
report/style.py                     ..     ..x ..x   ..x    ..
report/tables.py                    ..     ..x ..x   ..x    ..
report/sorting.js                   ..     ..x ..x   ..x    ..
report/scale.py                     ..     ... ..x   ..x    ..
report/scale.html.j2                ..     ... ..x   ..x    ..
report/origin.py                    ..     ..x ..x   ..x    ..
report/losses.py                    ..     ..x ..x   ..x    ..
report/figures.py                   ..     ..x ..x   ...    ..
report/base.html.j2                 ..     ..x ..x   ..x    ..
report/warnings.py                  ..     ..x ..x   ..x    ..
report/binary.py                    ..     ..x ..x   ...    ..
report/binary.html.j2               ..     ..x ..x   ...    ..
report/baseline.py                  ..     ..x ..x   ...    ..
report/baseline.html.j2             ..     ..x ..x   ...    ..
report/points.py                    ..     ..x ..x   ...    ..
report/points.html.j2               ..     ..x ..x   ...    ..
report/calibration.py               ..     ..x ..x   ...    ..
report/calibration.html.j2          ..     ..x ..x   ...    ..

serving/accept.py                   ..     .xx .xx   .xx    ..
serving/app.py                      ..     ... .x.   .x.    .x
serving/batching.py                 ..     ... .x.   .x.    .x

tasks/msi/dataset.py                ..     .xx ...   ...    ..
tasks/msi/model.py                  ..     .xx ...   ...    ..
tasks/msi/training.py               ..     .x. ...   ...    ..
tasks/msi/baseline.py               ..     .xx ...   ...    ..
tasks/msi/calibration.py            ..     .x. ...   ...    ..
tasks/msi/folds.py                  ..     .x. ...   ...    ..
tasks/msi/artefact.py               ..     .xx ...   ...    ..
tasks/msi/serving.py                ..     .xx ...   ...    ..
tasks/msi/learned_from.py           ..     .xx ...   ...    ..
tasks/msi/report.py                 ..     ..x ...   ...    ..
tasks/msi/slides.py                 ..     ..x ...   ...    ..
tasks/msi/report.html.j2            ..     ..x ...   ...    ..
tasks/mhist/prepare.py              ..     ... x..   ...    ..
tasks/mhist/table.py                ..     ... x..   ...    ..
tasks/mhist/split.py                ..     ... x..   ...    ..
tasks/mhist/dataset.py              ..     ... .xx   ...    ..
tasks/mhist/training.py             ..     ... .x.   ...    ..
tasks/mhist/baseline.py             ..     ... .xx   ...    ..
tasks/mhist/agreement.py            ..     ... ..x   ...    ..
tasks/mhist/protocol.py             ..     ... ..x   ...    ..
tasks/mhist/artefact.py             ..     ... .xx   ...    ..
tasks/mhist/serving.py              ..     ... .xx   ...    ..
tasks/mhist/report.py               ..     ... ..x   ...    ..
tasks/mhist/report.html.j2          ..     ... ..x   ...    ..
tasks/lizard/prepare.py             ..     ... ...   x..    ..
tasks/lizard/conic.py               ..     ... ...   x..    ..
tasks/lizard/arrays.py              ..     ... ...   xxx    ..
tasks/lizard/split.py               ..     ... ...   x..    ..
tasks/lizard/dataset.py             ..     ... ...   .xx    ..
tasks/lizard/model.py               ..     ... ...   .xx    ..
tasks/lizard/batches.py             ..     ... ...   .x.    ..
tasks/lizard/prediction.py          ..     ... ...   .xx    ..
tasks/lizard/losses.py              ..     ... ...   .x.    ..
tasks/lizard/training.py            ..     ... ...   .x.    ..
tasks/lizard/artefact.py            ..     ... ...   .xx    ..
tasks/lizard/serving.py             ..     ... ...   .xx    ..
tasks/lizard/learned_from.py        ..     ... ...   .xx    ..
tasks/lizard/scores.py              ..     ... ...   ..x    ..
tasks/lizard/rows.py                ..     ... ...   ..x    ..
tasks/lizard/sums.py                ..     ... ...   ..x    ..
tasks/lizard/images.py              ..     ... ...   ..x    ..
tasks/lizard/typed.py               ..     ... ...   ..x    ..
tasks/lizard/comparison.py          ..     ... ...   ...    ..
tasks/lizard/baseline.py            ..     ... ...   ..x    ..
tasks/lizard/evaluation.py          ..     ... ...   ..x    ..
tasks/lizard/warnings.py            ..     ... ...   ..x    ..
tasks/lizard/report.py              ..     ... ...   ..x    ..
tasks/lizard/figures.py             ..     ... ...   ..x    ..
tasks/lizard/report.html.j2         ..     ... ...   ..x    ..
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

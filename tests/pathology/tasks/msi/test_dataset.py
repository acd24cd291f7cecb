"""Bags: drawn the same in any order, kept within the budget, standardised by what was asked for."""

from dataclasses import replace

import numpy as np
import pytest
from pathology.contracts.cohort import CohortRow, SlideRow
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.errors import DataError
from pathology.tasks.msi import dataset as module
from pathology.tasks.msi.dataset import Bags, Patient, patients_of, permuted
from pathology.wsi.features import write_features

MANIFEST = EncoderManifest(name="tiny", architecture="vit", sha256="a" * 64, dimension=4, placeholder=True)
HASH = "0123456789abcdef"


def cohort_row(slide_id, patient, label=0, fold=0):
    return CohortRow(
        slide_id=slide_id, patient_id=patient, site="", slide_uri="s3://bucket/x.svs", bytes=1, md5="", mpp=None, label=label,
        split="train", fold=fold,
    )  # fmt: skip


def slide_row(slide_id, sha256="", status="ok"):
    empty = dict.fromkeys(SlideRow.model_fields, "") | {"slide_id": slide_id, "status": status, "sha256": sha256}
    return SlideRow.model_validate(empty | {"settings_hash": HASH})


@pytest.fixture
def made(tmp_path):
    """Two patients, the first with two slides: (root, cohort, slides, features by slide)."""
    generator = np.random.default_rng(0)
    features = {name: generator.normal(size=(count, 4)).astype(np.float16) for name, count in (("A1", 5), ("A2", 7), ("B1", 6))}
    slides = []
    attributes = {"encoder": "tiny", "checkpoint_sha256": MANIFEST.sha256, "settings_hash": HASH}
    for name, tiles in features.items():
        path = tmp_path / HASH / f"{name}.h5"
        slides.append(slide_row(name, write_features(path, tiles, np.zeros((len(tiles), 2)), np.ones(len(tiles)), attributes)))
    cohort = [cohort_row("B1", "B", label=1), cohort_row("A2", "A"), cohort_row("A1", "A")]
    return tmp_path, cohort, slides, features


def test_labels_are_permuted_within_a_fold_only():
    patients = [Patient(f"P{number}", "A", int(number % 5 == 0), number % 3, ()) for number in range(90)]
    others = permuted(patients, 0)
    assert [replace(patient, label=0) for patient in others] == [replace(patient, label=0) for patient in patients]
    for fold in range(3):
        before, after = ([each.label for each in group if each.fold == fold] for group in (patients, others))
        assert sum(before) == sum(after) == 6 and before != after
    assert permuted(patients, 0) == others != permuted(patients, 1)


def test_a_patient_is_all_its_slides(made):
    root, cohort, slides, features = made
    patients, lost = patients_of(cohort, slides)
    bags = Bags(root, patients, MANIFEST)
    assert [patient.patient_id for patient in patients] == ["A", "B"] and not lost
    assert np.array_equal(bags.load(0), np.concatenate([features["A1"], features["A2"]]))
    assert bags.labels.tolist() == [0, 1]


def test_draws_are_seeded_distinct_and_bounded(made):
    root, cohort, slides, _ = made
    bags = Bags(root, patients_of(cohort, slides)[0], MANIFEST)
    first, again, other = bags.draw(0, 6, (1, 2)), bags.draw(0, 6, (1, 2)), bags.draw(0, 6, (1, 3))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == 6
    assert len(bags.draw(0, 0, (1,))) == len(bags.draw(0, 100, (1,))) == 12


def test_memory_is_bounded(made, monkeypatch):
    root, cohort, slides, _ = made
    reads = []
    read = module.read_features
    monkeypatch.setattr(module, "read_features", lambda *given: reads.append(given[1]) or read(*given))
    bags = Bags(root, patients_of(cohort, slides)[0], MANIFEST, memory=12 * 4 * 2)  # room for patient A alone
    for _ in range(2):
        bags.load(0), bags.load(1)
    assert reads == ["A1", "A2", "B1", "B1"]


def test_moments(made):
    root, cohort, slides, features = made
    bags = Bags(root, patients_of(cohort, slides)[0], MANIFEST)
    mean, std = bags.moments([0])
    tiles = np.concatenate([features["A1"], features["A2"]]).astype(np.float64)
    assert np.allclose(mean, tiles.mean(0), atol=1e-6) and np.allclose(std, tiles.std(0), atol=1e-6)


def test_tables_that_do_not_fit_and_features_of_other_settings(made):
    root, cohort, slides, _ = made
    with pytest.raises(DataError, match=r"slide A1 is in the cohort and not in slides.csv"):
        patients_of(cohort, slides[1:])
    usable, lost = patients_of(cohort, [slide_row("A1", status="failed"), slide_row("A2", status="empty"), slides[2]])
    assert ([patient.patient_id for patient in usable], [patient.patient_id for patient in lost]) == (["B"], ["A"])
    wide = MANIFEST.model_copy(update={"dimension": 5})
    with pytest.raises(DataError, match="slide B1: its features have 4 dimensions and encoder tiny makes 5: extract"):
        Bags(root, usable, wide).load(0)
    other = usable[0].slides[0].model_copy(update={"settings_hash": "f" * 16})
    (root / HASH).rename(root / ("f" * 16))
    moved = type(usable[0])("B", "", 1, 0, (other,))
    with pytest.raises(
        DataError, match=f"slide B1: its features were made with settings {HASH} and must be made with f{{16}}: extract"
    ):
        Bags(root, [moved], MANIFEST).load(0)

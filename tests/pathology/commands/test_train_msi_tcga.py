"""TrainMsi: what it prints, what it packs, what it refuses, and what a restart repeats."""

import hashlib
import hmac
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from msi_jobs import MANIFEST, QUICK, SETTINGS_HASH, MsiRun, slide_row, write_manifest
from pathology.contracts.errors import DataError
from pathology.contracts.log_lines import CLASSIFIER_METRICS, EPOCH, FOLD

TINY = QUICK.model_copy(update={"epochs": 2})


class Interrupted(Exception):  # noqa: N818 - what happens, no error of ours
    """The spot instance goes."""


@pytest.fixture
def small(tmp_path):
    return MsiRun(tmp_path, patients=20, positives=8, folds=2, tiles=6)


def test_the_metric_definitions_match_the_log(msi_run):
    from pathology.tasks.msi.artefact import load_ensemble

    logged = {item["Name"]: re.findall(item["Regex"], msi_run.log) for item in CLASSIFIER_METRICS}
    assert set(logged) == {"training:loss", "validation:loss", "validation:accuracy", "validation:roc_auc"}
    epochs = len(logged["training:loss"])
    assert 3 < epochs <= 3 * QUICK.epochs
    # One value an epoch, and the whole cross-validation's at the end.
    assert len(logged["validation:loss"]) == len(logged["validation:accuracy"]) == len(logged["validation:roc_auc"]) == epochs + 1
    folds, done = (re.findall(f"^{line}$", msi_run.log, re.MULTILINE) for line in (FOLD, EPOCH))
    assert folds == [("1", "3"), ("2", "3"), ("3", "3")] and len(done) == epochs
    assert [number for number, of in done if number == "1" and of == str(QUICK.epochs)] == ["1"] * 3
    out_of_fold = load_ensemble(msi_run.root / "ml" / "model").config.out_of_fold
    assert float(logged["validation:roc_auc"][-1]) == pytest.approx(out_of_fold.auroc, abs=1e-6)


def test_it_learns(msi_run):
    from pathology.tasks.msi.artefact import load_ensemble

    config = load_ensemble(msi_run.root / "ml" / "model").config
    assert config.out_of_fold.low > 0.6
    assert config.out_of_fold.patients == len({row.patient_id for row in msi_run.cohort if row.split == "train"})
    assert 0 < config.threshold < 1


def test_the_artefact_says_what_it_is(msi_run):
    from pathology.tasks.msi.artefact import load_ensemble

    folder = msi_run.root / "ml" / "model"
    config = load_ensemble(folder).config
    assert (config.encoder.name, config.encoder.placeholder, config.encoder.remark) == ("tiny", True, "seeded, for tests")
    assert config.settings_hash == SETTINGS_HASH
    assert [fold.file for fold in config.folds] == ["fold-0.safetensors", "fold-1.safetensors", "fold-2.safetensors"]
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        *("config.json", "code/inference.py", "code/pathology/tasks/msi/serving.py", "code/pathology/commands/serve.py")
    } <= names
    assert not [name for name in names if "training" in name or name.endswith((".pth", ".pt", ".pkl"))]


def test_the_artefact_keeps_whom_it_learnt_from_by_pseudonyms(msi_run):
    from pathology.tasks.msi.artefact import load_ensemble

    folder = msi_run.root / "ml" / "model"
    content = (folder / "learned-from.json").read_bytes()
    assert load_ensemble(folder).config.learned_from == hashlib.sha256(content).hexdigest()
    learned_from = json.loads(content)
    train = {row.slide_id: row.patient_id for row in msi_run.cohort if row.split == "train"}
    salt = bytes.fromhex(learned_from["salt"])
    expected = {hmac.new(salt, f"patients\0{name.lower()}".encode(), "sha256").hexdigest() for name in train.values()}
    assert len(expected) == 60 and learned_from["pseudonyms"] == {"patients": sorted(expected)}
    of_files = {hashlib.sha256(msi_run.feature_file(slide).read_bytes()).hexdigest() for slide in train}
    assert of_files < set(learned_from["contents"]["features"]) and len(learned_from["contents"]["features"]) == 2 * len(train)
    assert not [name for name in {*train, *train.values()} if name.lower().encode() in content.lower()]


def test_the_cohorts_class_names_travel(small):
    from pathology.commands.train_msi_tcga import main
    from pathology.tasks.msi.artefact import load_ensemble

    job = small.training(settings=TINY)
    (job.input("splits") / "classes.json").write_text(json.dumps(["MSI-L or MSS", "MSI-H"]))
    main(job)
    assert load_ensemble(job.output("model")).config.labels == ("MSI-L or MSS", "MSI-H")


def test_twice_the_same_bytes(small, tmp_path):
    from pathology.commands.train_msi_tcga import main

    for folder in ("a", "b"):
        main(small.training(tmp_path / folder, TINY))
    names = [path.name for path in (tmp_path / "a" / "model").iterdir() if path.is_file()]
    assert sorted(names) == [
        "baseline.safetensors",
        "config.json",
        "drift-baseline.json",
        "fold-0.safetensors",
        "fold-1.safetensors",
        "learned-from.json",
    ]
    for name in names:
        assert (tmp_path / "a" / "model" / name).read_bytes() == (tmp_path / "b" / "model" / name).read_bytes()


def test_the_baseline_learns_the_labels_that_the_model_learns(small, tmp_path):
    """The same permuted ones, where the control is asked for; and nothing that serves knows of it."""
    import numpy as np
    from pathology.commands.train_msi_tcga import main
    from pathology.tasks.msi import baseline
    from pathology.tasks.msi.artefact import load_ensemble
    from pathology.tasks.msi.dataset import Bags, patients_of, permuted
    from pathology.training.baseline import read_baseline

    patients, _ = patients_of([row for row in small.cohort if row.split == "train"], small.slides)
    main(small.training(tmp_path, TINY.model_copy(update={"shuffle_labels": True, "epochs": 1})))
    found = read_baseline(tmp_path / "model", load_ensemble(tmp_path / "model").config)
    true, shuffled = (
        baseline.fit(Bags(small.features, learnt, MANIFEST)) for learnt in (patients, permuted(patients, TINY.seed))
    )
    assert np.array_equal(found.weight, shuffled.weight) and found.threshold == shuffled.threshold
    assert not np.array_equal(found.weight, true.weight)
    served = {path.name for path in (tmp_path / "model" / "code").rglob("*.py")}
    assert "serving.py" in served and not {"baseline.py", "logistic.py"} & served


def test_a_restart_repeats_only_the_fold_in_hand(small, tmp_path, monkeypatch, capsys):
    from pathology.commands.train_msi_tcga import main
    from pathology.tasks.msi import training

    trained = []
    train_fold = training.train_fold

    def counted(bags, train, validation, fold, settings, scratch):
        trained.append(fold)
        if trained == [0, 1]:
            raise Interrupted
        return train_fold(bags, train, validation, fold, settings, scratch)

    monkeypatch.setattr(training, "train_fold", counted)
    job = small.training(tmp_path / "ml", TINY)
    with pytest.raises(Interrupted):
        main(job)
    main(job)
    assert trained == [0, 1, 1]
    monkeypatch.setattr(training, "train_fold", lambda *given: trained.append(given[3]) or train_fold(*given))
    assert "fold 0: finished before the restart" in capsys.readouterr().out
    whole = small.training(tmp_path / "whole", TINY)
    main(whole)
    for path in (*whole.output("model").glob("*.safetensors"), whole.output("model") / "config.json"):
        assert path.read_bytes() == (job.output("model") / path.name).read_bytes()

    # Other settings, or a checkpoint cut short, are never taken up.
    trained.clear()
    main(small.training(tmp_path / "ml", TINY.model_copy(update={"epochs": 1})))
    assert trained == [0, 1]
    for path in job.checkpoints.rglob("fold-0-*.safetensors"):
        path.write_bytes(path.read_bytes()[:50])
    trained.clear()
    main(job)
    assert trained == [0]
    assert "cannot be read" in capsys.readouterr().out


def test_a_feature_file_gone_or_changed_is_named(small):
    from pathology.commands.train_msi_tcga import main

    path = small.feature_file("P001-0")
    shutil.move(path, path.with_suffix(".away"))
    with pytest.raises(DataError, match="slide P001-0: its feature file P001-0.h5 is gone"):
        main(small.training(settings=TINY))
    path.write_bytes(small.feature_file("P003-0").read_bytes())
    with pytest.raises(DataError, match="slide P001-0: .* changed"):
        main(small.training(settings=TINY))


def test_another_encoder_is_refused_in_words(small, tmp_path):
    from pathology.commands.train_msi_tcga import main
    from pathology.tasks.msi.artefact import load_ensemble

    other = MANIFEST.model_copy(update={"name": "other", "sha256": "b" * 64})
    small.models = write_manifest(tmp_path / "other", other)
    with pytest.raises(
        DataError, match=r"made by encoder tiny \(sha256 a{12}…\), and the cohort was prepared with other \(b{12}…\): start again"
    ):
        main(small.training(settings=TINY))
    job = small.training(settings=TINY)
    several = write_manifest(small.models)  # on EFS: the one that was prepared with is taken
    main(replace(job, inputs={**job.inputs, "models": several, "encoder": several / "tiny"}))
    assert load_ensemble(small.root / "ml" / "model").config.encoder.name == "tiny"


def test_patients_without_features_are_left_out_and_said(small, capsys):
    from pathology.commands.train_msi_tcga import main

    lost = next(row.slide_id for row in small.cohort if row.split == "train" and not row.slide_id.endswith("-1") and row.label)
    small.slides = [slide_row(row.slide_id, "failed") if row.slide_id[:4] == lost[:4] else row for row in small.slides]
    main(small.training(settings=TINY))
    assert f"left out: patient {lost[:4]} has no slide with features" in capsys.readouterr().out
    small.slides = [slide_row(row.slide_id, "empty") for row in small.slides]
    with pytest.raises(DataError, match="no train patient has a slide with features"):
        main(small.training(settings=TINY))


def test_one_process_trains(small, monkeypatch, capsys):
    from pathology.commands.train_msi_tcga import main

    job = replace(small.training(settings=TINY), hosts=("algo-1", "algo-2"), host="algo-2")
    main(job)
    monkeypatch.setenv("RANK", "1")
    main(small.training(settings=TINY))
    assert not (small.root / "ml" / "model").exists()
    assert "attention pooling trains on one device" in capsys.readouterr().out


def test_the_drift_baseline_is_of_the_train_patients_alone(msi_run):
    """By another way: features of all train slides, patient by patient; a test patient's are in none of it."""
    from pathology.contracts.drift import DriftBaseline
    from pathology.tasks.msi.artefact import load_ensemble
    from pathology.wsi.features import read_features

    folder = msi_run.root / "ml" / "model"
    content = (folder / "drift-baseline.json").read_bytes()
    assert load_ensemble(folder).config.drift_baseline == hashlib.sha256(content).hexdigest()
    made = DriftBaseline.from_json(content, "it")
    patients = {}
    for row in msi_run.cohort:
        if row.split == "train":
            tiles = read_features(msi_run.feature_file(row.slide_id), row.slide_id).features.astype(float)
            patients.setdefault(row.patient_id, []).append(tiles)
    bags = [np.concatenate(slides) for slides in patients.values()]
    means = np.stack([bag.mean(axis=0) for bag in bags])
    assert (made.items, made.taken, made.embeddings.n, made.unit, made.splits) == (60, 60, 60, "patients", ("train",))
    np.testing.assert_allclose(made.embeddings.mean, means.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(made.embeddings.sd, means.std(axis=0, ddof=1), rtol=1e-5)
    pooled = np.concatenate(bags)
    assert made.embeddings.tiles.n == len(pooled)
    np.testing.assert_allclose(made.embeddings.tiles.sd, pooled.std(axis=0, ddof=1), rtol=1e-5)
    assert made.colours.unknown == made.groups["slides"] == sum(map(len, patients.values()))  # files of before there were any
    assert made.colours.reference is None

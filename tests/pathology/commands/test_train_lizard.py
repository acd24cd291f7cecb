"""TrainLizard: painted nuclei, frozen or adapted encoder, every channel; what it packs serves, what is wrong is named."""

import contextlib
import hashlib
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from lizard_jobs import prepare
from msi_jobs import training_job
from pathology.contracts.code import command_code
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.contracts.lizard.train import TrainLizard
from pathology.contracts.log_lines import EPOCH, NUCLEI_METRICS
from pathology.encoders.tiny import make_tiny_encoder
from pathology.tasks.lizard.arrays import IMAGES, LABELS
from pathology.tasks.lizard.dataset import read_patches

from demo import nuclei

QUICK = TrainLizard(epochs=2, batch_size=4, rank=4, width=4, learning_rate=1e-2, encoder_learning_rate=1e-3)
SIDE = 128
"""px: half of a real patch's side, and so a quarter of the work."""


class LizardRun:
    """Painted nuclei as PrepareLizard leaves them, and the tiny encoder, as the job's channels show them."""

    def __init__(self, root, patches=10):
        self.root = root
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(nuclei, "SIDE", SIDE)
            nuclei.make_nuclei(root / "dataset", patches, sources=5)
        prepare(root, root / "dataset", validation_fraction=0.2)
        make_tiny_encoder(root / "models" / "tiny")
        self.rows = read_patches(root / "patches" / "patches.csv")

    def job(self, folder, **settings):
        channels = {name: self.root / name for name in ("models", "patches")} | {
            "training": self.root / "dataset",
            "encoder": self.root / "models" / "tiny",
        }
        return training_job(folder, QUICK.model_copy(update=settings), channels)

    def patch(self, split="test"):
        index = next(row.index for row in self.rows if row.split == split)
        return np.load(self.root / "dataset" / IMAGES)[index]


@pytest.fixture(scope="module")
def lizard(tmp_path_factory):
    return LizardRun(tmp_path_factory.mktemp("lizard"))


@pytest.fixture(scope="module")
def trained(lizard, tmp_path_factory):
    """The job's folder of a training with a frozen encoder, and its log: to be copied before anything is written there."""
    from pathology.commands.train_lizard import main

    folder, log = tmp_path_factory.mktemp("trained"), io.StringIO()
    with contextlib.redirect_stdout(log):
        main(lizard.job(folder))
    return folder, log.getvalue()


def check_log(log, config):
    """The metrics that SageMaker reads: those of two epochs, which the model keeps, and of the model as packed."""
    validation = config.validation
    logged = {item["Name"]: [float(value) for value in re.findall(item["Regex"], log)] for item in NUCLEI_METRICS}
    assert {name: len(values) for name, values in logged.items()} == {
        "training:loss": 2,
        **{f"validation:{name}": 3 for name in ("loss", "mean_iou", "mean_dice", "mean_pq")},
    }
    assert re.findall(f"^{EPOCH}$", log, re.MULTILINE) == [("1", "2"), ("2", "2")]
    assert logged["training:loss"][1] < logged["training:loss"][0]
    for name, value in (
        ("loss", validation.loss),
        ("mean_iou", validation.iou),
        ("mean_dice", validation.dice),
        ("mean_pq", validation.pq),
    ):
        assert logged[f"validation:{name}"][-1] == pytest.approx(value, abs=1e-6)
    assert validation.loss == pytest.approx(min(logged["validation:loss"][:2]), abs=1e-5)
    (curve,) = config.curves
    assert curve.training == pytest.approx(logged["training:loss"], rel=1e-5)
    assert curve.validation == pytest.approx(logged["validation:loss"][:2], rel=1e-5) and curve.best == validation.epoch
    assert config.training_code == command_code("train_lizard").hash


def check_serves(lizard, output, encoder):
    """What was packed, and that it serves; its configuration."""
    from pathology.tasks.lizard.serving import model_fn, predict_fn

    model = model_fn(output, lizard.root / "models")
    assert model.config.validation.patches == sum(row.split == "validation" for row in lizard.rows)
    assert (model.config.fine_tuning, model.config.classes, model.config.width) == (encoder, LIZARD_CLASSES, 4)
    (answer,) = predict_fn([lizard.patch()], model)
    assert answer.labels.shape == (SIDE, SIDE, 2)
    names = {path.name for path in output.iterdir()}
    assert names == {"config.json", "code", "decoder.safetensors", "drift-baseline.json", "learned-from.json"} | (
        {"encoder.safetensors"} if encoder == "lora" else set()
    )
    return model.config


def test_it_trains_a_decoder_and_packs_what_serves(lizard, trained):
    folder, log = trained
    check_log(log, check_serves(lizard, lizard.job(folder).output("model"), "frozen"))


def test_the_artefact_keeps_the_images_it_learnt_from(lizard, trained):
    learned_from = json.loads((lizard.job(trained[0]).output("model") / "learned-from.json").read_text())
    learnt = [row for row in lizard.rows if row.split != "test"]
    images = np.load(lizard.root / "dataset" / IMAGES)
    pixels = {hashlib.sha256(images[row.index].tobytes()).hexdigest() for row in learnt}
    assert learned_from["names"] == {"source images": sorted({row.source for row in learnt})}
    assert learned_from["contents"] == {"pixels": sorted(pixels)} and learned_from["pseudonyms"] == {}


def test_a_second_training_packs_the_same_bytes(lizard, trained, tmp_path):
    from pathology.commands.train_lizard import main

    job = lizard.job(shutil.copytree(trained[0], tmp_path / "again"))
    first = {path.name: path.read_bytes() for path in job.output("model").iterdir() if path.is_file()}
    shutil.rmtree(job.output("model"))
    main(job)
    assert {path.name: path.read_bytes() for path in job.output("model").iterdir() if path.is_file()} == first


def test_it_trains_adapters_too_and_packs_what_serves(lizard, tmp_path, capsys):
    from pathology.commands.train_lizard import main

    job = lizard.job(tmp_path, fine_tuning="lora")
    main(job)
    check_log(capsys.readouterr().out, check_serves(lizard, job.output("model"), "lora"))


def test_staged_arrays_and_a_chosen_encoder_give_the_same_model(lizard, trained, tmp_path):
    """Arrays by their hash, and of two encoders the one that the channel names."""
    from pathology.commands.train_lizard import main
    from pathology.tasks.lizard.artefact import load_lizard

    make_tiny_encoder(tmp_path / "models" / "other", seed=1)
    manifest = make_tiny_encoder(tmp_path / "models" / "tiny")
    config = load_lizard(lizard.job(trained[0]).output("model"), lizard.root / "models").config
    staged = tmp_path / "staged"
    staged.mkdir()
    for name, key in ((IMAGES, "images"), (LABELS, "labels")):
        (staged / f"{config.inputs[key]}.npy").write_bytes((lizard.root / "dataset" / name).read_bytes())
    channels = {"training": staged, "models": tmp_path / "models", "encoder": tmp_path / "models" / "tiny"}
    job = lizard.job(tmp_path / "again")
    main(replace(job, inputs=job.inputs | channels))
    again = load_lizard(job.output("model"), lizard.root / "models").config
    assert again.encoder.sha256 == manifest.sha256
    assert again == config


def test_a_finished_training_is_taken_up(lizard, trained, tmp_path, capsys):
    from pathology.commands.train_lizard import main

    job = lizard.job(shutil.copytree(trained[0], tmp_path / "again"))
    decoder = job.output("model") / "decoder.safetensors"
    first = decoder.read_bytes()
    decoder.unlink()
    main(job)
    assert "Training Loss" not in capsys.readouterr().out
    assert decoder.read_bytes() == first


def test_a_training_with_another_seed_is_not_taken_up(lizard, trained, tmp_path, monkeypatch):
    """It would train below a folder where there is nothing yet."""
    from pathology.commands import train_lizard

    class Reached(Exception):  # noqa: N818 - no error
        pass

    def train(net, data, validation, settings, folder, workers):
        raise Reached(folder)

    monkeypatch.setattr(train_lizard, "train", train)
    folder = shutil.copytree(trained[0], tmp_path / "again")
    folders = []
    for seed in (0, 1):
        with pytest.raises(Reached) as reached:
            train_lizard.main(lizard.job(folder, seed=seed))
        folders.append(reached.value.args[0])
    assert folders[0].is_dir() and not folders[1].exists() and folders[0].parent == folders[1].parent


def test_one_process_trains_where_there_is_no_torchrun(lizard, tmp_path, capsys):
    from pathology.commands.train_lizard import main

    job = replace(lizard.job(tmp_path), hosts=("algo-1", "algo-2"), host="algo-2")
    main(job)
    assert "algo-2: nothing joins" in capsys.readouterr().out
    assert not list(job.output("model").iterdir())


def test_what_is_wrong_is_named(lizard, tmp_path):
    from pathology.commands.train_lizard import main

    with pytest.raises(RequestError, match="batch-size 4 is global and is shared by 1 processes in 3 parts"):
        main(lizard.job(tmp_path, accumulation=3))
    job = lizard.job(tmp_path)
    with pytest.raises(DataError, match=r"no encoder.json there"):
        main(replace(job, inputs=job.inputs | {"models": tmp_path}))
    with pytest.raises(DataError, match=r"images.npy: there is no such file: stage the data set again"):
        main(replace(job, inputs=job.inputs | {"training": tmp_path}))
    for name in (IMAGES, LABELS):
        content = bytearray((lizard.root / "dataset" / name).read_bytes())
        content[-1] ^= 1
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"is not the images.npy that was prepared"):
        main(replace(job, inputs=job.inputs | {"training": tmp_path}))


def test_the_drift_baseline_is_of_the_train_patches_alone(lizard, trained):
    """A test patch's colours are in none of it; the deepest features' mean is D numbers."""
    from pathology.contracts.drift import DriftBaseline
    from pathology.tasks.lizard.artefact import LizardConfig

    model = lizard.job(trained[0]).output("model")
    content, config = (model / "drift-baseline.json").read_bytes(), json.loads((model / "config.json").read_text())
    assert LizardConfig.model_validate(config).drift_baseline == hashlib.sha256(content).hexdigest()
    made, train = DriftBaseline.from_json(content, "it"), [row for row in lizard.rows if row.split == "train"]
    pictures = np.load(lizard.root / "dataset" / IMAGES)[[row.index for row in train]]
    assert (made.items, made.embeddings.n, made.groups) == (
        len(train),
        len(train),
        {"source images": len({r.source for r in train})},
    )
    assert len(made.embeddings.mean) == config["encoder"]["dimension"]
    np.testing.assert_allclose(made.colours.reference.mean[:3], pictures.mean(axis=(0, 1, 2)), rtol=1e-5)

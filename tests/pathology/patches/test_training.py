"""Fine-tuning: what is learnt, what a step is worth however it is cut, and that a killed run ends where an undisturbed one does."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from patch_sets import patches
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.mhist.train import TrainMhist
from pathology.encoders.encoder import load_encoder
from pathology.encoders.tiny import make_tiny_encoder
from trainings import Trainings, digest

QUICK = TrainMhist(
    fine_tuning="lora", epochs=3, batch_size=8, accumulation=2, rank=4, blocks=1, learning_rate=1e-2, encoder_learning_rate=1e-3
)
TRAIN, VALIDATION = 20, 9


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    make_tiny_encoder(folder)
    return folder


def data(count, seed):
    from pathology.patches.batches import LabelledPatches

    made, labels = patches(count, seed)
    return LabelledPatches(made, labels.astype(float))


def weights(encoder, folder, settings=QUICK, train_count=TRAIN):
    """Train; the trained tensors and the best epoch."""
    from pathology.patches.classifier import PatchClassifier
    from pathology.patches.training import train

    loaded = load_encoder(encoder, precision="float32")
    made = PatchClassifier(loaded.manifest, loaded.model, settings.fine_tuning, settings.rank, settings.blocks, settings.seed)
    best = train(made, data(train_count, 1), data(VALIDATION, 2), settings, folder)
    return made.encoder_state() | made.head_state(), best


def run(encoder, folder):
    """Train, for another process; the hash of the trained weights."""
    return digest(weights(encoder, folder)[0])


@pytest.mark.parametrize("fine_tuning", ["lora", "last-blocks", "full"])
def test_it_learns_the_texture(encoder, tmp_path, fine_tuning, capsys):
    settings = QUICK.model_copy(update={"fine_tuning": fine_tuning})
    _, best = weights(encoder, tmp_path, settings, train_count=32)
    printed = capsys.readouterr().out
    assert best.validation_loss < 0.6 < math.log(2)
    for line in ("Training Loss: ", "Validation Loss: ", "Validation Accuracy: ", "Validation ROC AUC: "):
        assert printed.count(line) == QUICK.epochs
    assert float(printed.rpartition("ROC AUC: ")[2].split()[0]) > 0.9


@dataclass(frozen=True)
class Finished:
    """A training that came to its end: its folder, to be copied before anything is written there, and what it gave."""

    folder: Path
    tensors: dict
    best: object

    def copy(self, folder):
        """Its folder again, below ``folder``."""
        return shutil.copytree(self.folder, folder / "copy")


@pytest.fixture(scope="module")
def finished(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return Finished(folder, *weights(encoder, folder))


def test_the_losses_of_every_epoch_are_kept(finished):
    curve = finished.best.curve
    assert len(curve.training) == len(curve.validation) == QUICK.epochs and curve.best == finished.best.epoch
    assert curve.validation[curve.best - 1] == min(curve.validation) == pytest.approx(finished.best.validation_loss, rel=1e-5)


def test_a_checkpoint_holds_only_what_is_trained(finished):
    import torch
    from pathology.training.checkpoints import LAST

    names = {path.name for path in finished.folder.iterdir()}
    assert {LAST, finished.best.file(finished.folder).name} <= names <= {LAST, "best-0.safetensors", "best-1.safetensors"}
    content = torch.load(finished.folder / LAST, weights_only=True)
    names = set(content["state_dict"])
    assert names == {f"classifier.encoder.{name}" for name in finished.tensors if "lora_" in name} | {
        "classifier.head.weight", "classifier.head.bias",
    }  # fmt: skip


def test_a_finished_training_is_not_done_again(encoder, finished, tmp_path, capsys):
    again, same = weights(encoder, finished.copy(tmp_path))
    assert digest(again) == digest(finished.tensors) and same == finished.best
    printed = capsys.readouterr().out
    assert "resuming from epoch 3" in printed and "Training Loss" not in printed


def test_a_later_job_goes_on_where_another_of_its_key_ended_and_leaves_that_alone(
    encoder, finished, tmp_path, capsys, monkeypatch
):
    key = tmp_path / "key"
    shutil.copytree(finished.folder, key / "first")
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (key / "first").iterdir()}
    monkeypatch.setenv("TRAINING_JOB_NAME", "second")
    again, same = weights(encoder, key)
    assert digest(again) == digest(finished.tensors) and same == finished.best
    printed = capsys.readouterr().out
    assert "resuming from epoch 3" in printed and "it is from first" in printed and "Training Loss" not in printed
    assert same.file(key / "second").is_file()
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (key / "first").iterdir()} == before


def test_patience_ends_it_and_a_restart_does_not_undo_that(encoder, tmp_path, capsys):
    settings = QUICK.model_copy(update={"epochs": 30, "patience": 1, "learning_rate": 1.0, "encoder_learning_rate": 0.1})
    first, best = weights(encoder, tmp_path, settings)
    epochs = capsys.readouterr().out.count("Training Loss")
    assert best.epoch < epochs < 30
    again, same = weights(encoder, tmp_path, settings)
    assert capsys.readouterr().out.count("Training Loss") == 0
    assert digest(again) == digest(first) and same == best


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: b"cos\nsystem"]
)
def test_a_checkpoint_that_cannot_be_read_is_said(finished, tmp_path, capsys, damage):
    from pathology.training.checkpoints import LAST, usable

    path = finished.copy(tmp_path) / LAST
    path.write_bytes(damage(path.read_bytes()))
    assert usable(path) is None
    assert "the checkpoint cannot be read" in capsys.readouterr().out


def test_with_a_damaged_checkpoint_training_starts_again(encoder, finished, tmp_path, capsys):
    from pathology.training.checkpoints import LAST

    folder = finished.copy(tmp_path)
    (folder / LAST).write_bytes(b"")
    again, _ = weights(encoder, folder)
    printed = capsys.readouterr().out
    assert "training starts from the first epoch" in printed and printed.count("Training Loss") == QUICK.epochs
    assert digest(again) == digest(finished.tensors)


@pytest.fixture(scope="module")
def trainings():
    """Trainings in processes of their own."""
    started = Trainings(__file__)
    yield started
    started.close()


@pytest.mark.slow
def test_killed_and_started_again_it_ends_the_same(trainings, encoder, tmp_path):
    """Six parts an epoch. The first process is killed in the first epoch, two more early and late in the second."""
    trainings.check_resumed(encoder, tmp_path, [(4, 0), (8, 1), (5, 1)])


@pytest.mark.slow
def test_two_processes_give_one_process_weights(trainings, encoder, tmp_path, finished):
    from safetensors.torch import load_file
    from torch import allclose

    done = trainings.run(encoder, tmp_path / "two", together=True)
    assert done.status == 0, done.printed[-2000:]
    together = load_file(finished.best.file(tmp_path / "two"))
    assert done.printed.count("Training Loss") == QUICK.epochs
    for name, value in finished.tensors.items():
        other = together[f"head.{name}" if name in ("weight", "bias") else f"encoder.{name}"]
        assert allclose(value, other, atol=1e-5), name


@pytest.mark.slow
def test_processes_with_different_checkpoints_are_refused(trainings, encoder, tmp_path):
    """A host whose checkpoint is gone must not train on from nothing beside the others."""
    weights(encoder, tmp_path / "0", QUICK.model_copy(update={"epochs": 1}))
    (tmp_path / "1").mkdir()
    done = trainings.run(encoder, tmp_path / "RANK", together=True)
    assert done.status == 1
    assert "DataError: processes start after epochs [1.0, 0.0]: their checkpoints are not the same" in done.printed
    assert "Training Loss" not in done.printed


@pytest.mark.parametrize(
    ("size", "error", "expected"),
    [
        (2, RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer"), DataError),
        (2, "DistBackendError", DataError),
        (1, RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer"), RuntimeError),
        (2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"), RuntimeError),
        (2, RequestError("rank 99 is too much"), RequestError),
    ],
)
def test_only_a_lost_process_is_called_that(monkeypatch, size, error, expected):
    import torch
    from pathology.training import epochs
    from pathology.training.epochs import World

    if isinstance(error, str):
        error = getattr(torch.distributed, error)("NCCL communicator was aborted")
    monkeypatch.setattr(epochs, "LAST_WORDS_SECONDS", 0.0)
    with pytest.raises(expected) as raised, World(0, size, size).together():
        raise error
    assert type(raised.value) is DataError if expected is DataError else raised.value is error
    assert ("process 0 of 2 lost another one" in str(raised.value)) == (expected is DataError)


def test_a_step_is_worth_the_same_however_it_is_cut():
    import torch
    from pathology.training.batches import MicroBatch, TrainingBatches

    made = data(21, 0)
    for world, accumulation in ((1, 1), (2, 1), (1, 4), (2, 2), (4, 2)):
        settings = QUICK.model_copy(update={"batch_size": 8, "accumulation": accumulation})
        weights_of = {step: {} for step in range(3)}
        for rank in range(world):
            micro_batch = MicroBatch.of(settings, rank, world)
            batches = TrainingBatches(made, micro_batch, seed=5, epoch=2)
            assert len(batches) == 3 * accumulation
            for number in range(len(batches)):
                pixels, targets, value = batches[number]
                assert pixels.shape == (micro_batch.size, 3, 224, 224) and pixels.dtype == torch.uint8
                for picture, target, weight in zip(pixels, targets, value, strict=True):
                    if weight > 0:
                        key = (picture.numpy().tobytes(), float(target))
                        weights_of[number // accumulation][key] = float(weight) / world / accumulation
        sizes = [len(step) for step in weights_of.values()]
        assert sizes == [8, 8, 5]
        for step in weights_of.values():
            assert sum(step.values()) == pytest.approx(1)
        if world == accumulation == 1:
            expected = [set(step) for step in weights_of.values()]
        assert [set(step) for step in weights_of.values()] == expected


def test_every_validation_patch_counts_once():
    from pathology.training.batches import ValidationBatches

    made = data(7, 0)
    for world in (1, 2, 3):
        counted, lengths = [], set()
        for rank in range(world):
            batches = ValidationBatches(made, rank, world, 2)
            lengths.add(len(batches))
            for number in range(len(batches)):
                pixels, _, value = batches[number]
                counted += [picture.numpy().tobytes() for picture, weight in zip(pixels, value, strict=True) if weight]
        assert len(lengths) == 1
        assert sorted(counted) == sorted(made.pixels(index).numpy().tobytes() for index in range(7))


def test_a_batch_that_cannot_be_shared_is_refused():
    from pathology.training.batches import MicroBatch

    with pytest.raises(
        RequestError, match="batch-size 8 is global and is shared by 3 processes in 2 parts: take a multiple of 6"
    ):
        MicroBatch.of(QUICK, 0, 3)


def test_the_rate_rises_and_falls():
    from pathology.training.epochs import rate_at

    rates = [rate_at(step, 100, 0.1) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5) and rates[100] == pytest.approx(0)
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rate_at(0, 1, 0.0) == 1.0


def test_augmentation_is_the_samples_own_and_keeps_what_is_seen():
    import torch
    from pathology.training.augmentation import augment, sample_generator, stain_jitter

    picture = torch.from_numpy(patches(2)[0][0].transpose(2, 0, 1).copy())
    picture[:, :60, :100] = 255  # so that no rotation looks like another
    first = augment(picture, sample_generator(1, 2, 3))
    assert torch.equal(first, augment(picture, sample_generator(1, 2, 3)))
    others = [augment(picture, sample_generator(1, 2, number)) for number in range(40)]
    assert len({other.numpy().tobytes() for other in others}) == 40
    flat = stain_jitter(picture, sample_generator(0), amount=0.0)
    assert (flat.int() - picture.int()).abs().max() <= 1
    jittered = stain_jitter(picture, sample_generator(0)).float()
    assert 0 < (jittered - picture.float()).abs().mean() < 25
    assert np.isfinite(stain_jitter(torch.zeros(3, 4, 4, dtype=torch.uint8), sample_generator(0)).numpy()).all()

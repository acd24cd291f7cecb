"""Fine-tuning: what is learnt, what a step is worth however it is cut, and that a killed run ends where an undisturbed one does."""

import math

import numpy as np
import pytest
import torch
from patch_sets import patches
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.settings_mhist import TrainMhist
from pathology.models.encoder import load_encoder
from pathology.models.tiny import make_tiny_encoder
from safetensors.torch import load_file
from trainings import Elsewhere

QUICK = TrainMhist(
    tune="lora", epochs=3, batch_size=8, accumulation=2, rank=4, blocks=1, learning_rate=1e-2, encoder_learning_rate=1e-3
)
TRAIN, VALIDATION = 20, 9
ELSEWHERE = Elsewhere(__file__)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    make_tiny_encoder(folder)
    return folder


def data(count, seed):
    from pathology.models.patch_batches import LabelledPatches

    made, labels = patches(count, seed)
    return LabelledPatches(made, labels.astype(float))


def weights(encoder, folder, settings=QUICK, train_count=TRAIN):
    """Train; the trained tensors and the best epoch."""
    from pathology.models.patch_classifier import PatchClassifier
    from pathology.models.patch_training import train

    loaded = load_encoder(encoder, precision="float32")
    made = PatchClassifier(loaded.card, loaded.model, settings.tune, settings.rank, settings.blocks, settings.seed)
    best = train(made, data(train_count, 1), data(VALIDATION, 2), settings, folder)
    return made.encoder_state() | made.head_state(), best


def run(encoder, folder):
    """Train, for another process; the hash of the trained weights."""
    from trainings import digest

    return digest(weights(encoder, folder)[0])


@pytest.mark.parametrize("tune", ["lora", "last-blocks", "full"])
def test_it_learns_the_texture(encoder, tmp_path, tune, capsys):
    settings = QUICK.model_copy(update={"tune": tune, "epochs": 4})
    _, best = weights(encoder, tmp_path, settings, train_count=40)
    printed = capsys.readouterr().out
    assert best.validation_loss < 0.6 < math.log(2)
    for line in ("Training Loss: ", "Validation Loss: ", "Validation Accuracy: ", "Validation ROC AUC: "):
        assert printed.count(line) == 4
    assert float(printed.rpartition("ROC AUC: ")[2].split()[0]) > 0.9


def test_a_checkpoint_holds_only_what_is_trained(encoder, tmp_path):
    from pathology.models.checkpoints import LAST

    tensors, best = weights(encoder, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {LAST, f"best-{best.epoch}.safetensors"}
    content = torch.load(tmp_path / LAST, weights_only=True)
    names = set(content["state_dict"])
    assert names == {f"classifier.encoder.{name}" for name in tensors if "lora_" in name} | {
        "classifier.head.weight", "classifier.head.bias",
    }  # fmt: skip


def test_a_finished_training_is_not_done_again(encoder, tmp_path, capsys):
    from trainings import digest

    first, best = weights(encoder, tmp_path)
    capsys.readouterr()
    again, same = weights(encoder, tmp_path)
    assert digest(again) == digest(first) and same == best
    printed = capsys.readouterr().out
    assert "goes on after epoch 3" in printed and "Training Loss" not in printed


def test_patience_ends_it_and_a_restart_does_not_undo_that(encoder, tmp_path, capsys):
    from trainings import digest

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
def test_a_checkpoint_that_cannot_be_read_is_said(encoder, tmp_path, capsys, damage):
    from pathology.models.checkpoints import LAST
    from trainings import digest

    first, _ = weights(encoder, tmp_path)
    (tmp_path / LAST).write_bytes(damage((tmp_path / LAST).read_bytes()))
    again, _ = weights(encoder, tmp_path)
    assert "the checkpoint cannot be read" in capsys.readouterr().out
    assert digest(again) == digest(first)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [4, 8, 11])
def test_killed_and_started_again_it_ends_the_same(encoder, tmp_path, parts):
    """Six parts an epoch: killed in the first epoch, in the second early and late."""
    ELSEWHERE.check_resumed(encoder, tmp_path, parts, 6)


@pytest.mark.slow
def test_two_processes_give_one_process_weights(encoder, tmp_path):
    alone, best = weights(encoder, tmp_path / "alone")
    done = ELSEWHERE.train_in_two(encoder, tmp_path / "two")
    assert done.returncode == 0, done.stderr[-2000:]
    together = load_file(tmp_path / "two" / f"best-{best.epoch}.safetensors")
    assert done.stdout.count("Training Loss") == QUICK.epochs
    for name, value in alone.items():
        other = together[f"head.{name}" if name in ("weight", "bias") else f"encoder.{name}"]
        assert torch.allclose(value, other, atol=1e-5), name


@pytest.mark.slow
def test_processes_with_different_checkpoints_are_refused(encoder, tmp_path):
    """A host whose checkpoint is gone must not train on from nothing beside the others."""
    weights(encoder, tmp_path / "0", QUICK.model_copy(update={"epochs": 1}))
    (tmp_path / "1").mkdir()
    done = ELSEWHERE.train_in_two(encoder, tmp_path / "RANK")
    assert done.returncode == 1
    assert "DataError: processes start after epochs [1.0, 0.0]: their checkpoints are not the same" in done.stderr
    assert "Training Loss" not in done.stdout


@pytest.mark.parametrize(
    ("size", "error", "expected"),
    [
        (2, RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer"), DataError),
        (2, torch.distributed.DistBackendError("NCCL communicator was aborted"), DataError),
        (1, RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer"), RuntimeError),
        (2, RuntimeError("mat1 and mat2 shapes cannot be multiplied"), RuntimeError),
        (2, RequestError("rank 99 is too much"), RequestError),
    ],
)
def test_only_a_lost_process_is_called_that(monkeypatch, size, error, expected):
    from pathology.models import epoch_training
    from pathology.models.epoch_training import World

    monkeypatch.setattr(epoch_training, "LAST_WORDS_SECONDS", 0.0)
    with pytest.raises(expected) as raised, World(0, size, size).together():
        raise error
    assert type(raised.value) is DataError if expected is DataError else raised.value is error
    assert ("process 0 of 2 lost another one" in str(raised.value)) == (expected is DataError)


def test_a_step_is_worth_the_same_however_it_is_cut():
    from pathology.models.epoch_batches import Share, TrainingBatches

    made = data(21, 0)
    for world, accumulation in ((1, 1), (2, 1), (1, 4), (2, 2), (4, 2)):
        settings = QUICK.model_copy(update={"batch_size": 8, "accumulation": accumulation})
        seen = {step: {} for step in range(3)}
        for rank in range(world):
            share = Share.of(settings, rank, world)
            batches = TrainingBatches(made, share, seed=5, epoch=2)
            assert len(batches) == 3 * accumulation
            for number in range(len(batches)):
                pixels, targets, value = batches[number]
                assert pixels.shape == (share.part, 3, 224, 224) and pixels.dtype == torch.uint8
                for picture, target, weight in zip(pixels, targets, value, strict=True):
                    if weight > 0:
                        key = (picture.numpy().tobytes(), float(target))
                        seen[number // accumulation][key] = float(weight) / world / accumulation
        sizes = [len(step) for step in seen.values()]
        assert sizes == [8, 8, 5]
        for step in seen.values():
            assert sum(step.values()) == pytest.approx(1)
        if world == accumulation == 1:
            expected = [set(step) for step in seen.values()]
        assert [set(step) for step in seen.values()] == expected


def test_every_validation_patch_counts_once():
    from pathology.models.epoch_batches import ValidationBatches

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
    from pathology.models.epoch_batches import Share

    with pytest.raises(
        RequestError, match="batch-size 8 is global and is shared by 3 processes in 2 parts: take a multiple of 6"
    ):
        Share.of(QUICK, 0, 3)


def test_the_rate_rises_and_falls():
    from pathology.models.epoch_training import rate_at

    rates = [rate_at(step, 100, 0.1) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5) and rates[100] == pytest.approx(0)
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rate_at(0, 1, 0.0) == 1.0


def test_augmentation_is_the_samples_own_and_keeps_what_is_seen():
    from pathology.models.augmentation import augment, sample_generator, stain_jitter

    picture = torch.from_numpy(patches(2)[0][0].transpose(2, 0, 1).copy())
    picture[:, :60, :100] = 255  # so that no turn looks like another
    first = augment(picture, sample_generator(1, 2, 3))
    assert torch.equal(first, augment(picture, sample_generator(1, 2, 3)))
    others = [augment(picture, sample_generator(1, 2, number)) for number in range(40)]
    assert len({other.numpy().tobytes() for other in others}) == 40
    flat = stain_jitter(picture, sample_generator(0), amount=0.0)
    assert (flat.int() - picture.int()).abs().max() <= 1
    jittered = stain_jitter(picture, sample_generator(0)).float()
    assert 0 < (jittered - picture.float()).abs().mean() < 25
    assert np.isfinite(stain_jitter(torch.zeros(3, 4, 4, dtype=torch.uint8), sample_generator(0)).numpy()).all()

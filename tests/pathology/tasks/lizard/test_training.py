"""Training the nuclear network: resumed exactly, the same in two processes, scored as it will be found; and that it learns."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.lizard.train import TrainLizard
from pathology.encoders.encoder import load_encoder
from pathology.encoders.tiny import make_tiny_encoder
from pathology.metrics.panoptic import dice, score
from pathology.nuclei.targets import distance_maps
from trainings import Trainings, digest

QUICK = TrainLizard(
    fine_tuning="lora", epochs=3, batch_size=4, accumulation=2, rank=2, width=4, learning_rate=1e-2, encoder_learning_rate=1e-3
)
SIDE, TRAIN, VALIDATION = 64, 10, 5


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    make_tiny_encoder(folder)
    return folder


def patches(count, seed):
    """Discs of two sizes and shades, a class each, on a bright ground, and noise."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    made = []
    for _ in range(count):
        labels = np.zeros((SIDE, SIDE, 2), np.uint16)
        for number in range(1, 7):
            kind = int(generator.integers(1, 3))
            row, column = generator.uniform(0, SIDE, 2)
            labels[(rows - row) ** 2 + (columns - column) ** 2 <= (3 + 3 * kind) ** 2] = number, kind
        brightness = np.array([210, 120, 60])[labels[..., 1:]] + generator.normal(0, 10, (SIDE, SIDE, 3))
        made.append((brightness.clip(0, 255).astype(np.uint8), labels))
    return made


def built(encoder, settings):
    from pathology.tasks.lizard.model import NuclearUnet

    base = load_encoder(encoder, precision="float32")
    return NuclearUnet(base, 2, settings.width, settings.fine_tuning, settings.rank, settings.seed)


def weights(encoder, folder, settings=QUICK, train_count=TRAIN):
    """Train; what was trained, by name, and the best epoch."""
    from pathology.tasks.lizard.batches import NuclearPatches
    from pathology.tasks.lizard.training import train

    net = built(encoder, settings)
    data = NuclearPatches(patches(train_count, 1), 2, settings.balance, settings.augment)
    best = train(net, data, NuclearPatches(patches(VALIDATION, 2), 2), settings, folder)
    state = {f"decoder.{name}": value for name, value in net.decoder.state_dict().items()}
    return state | {f"encoder.{name}": value for name, value in net.encoder_state().items()}, best


def run(encoder, folder):
    """Train, for another process; the hash of the trained weights."""
    return digest(weights(encoder, folder)[0])


def test_what_a_checkpoint_holds_and_that_a_finished_training_is_not_done_again(encoder, tmp_path, capsys):
    import torch
    from pathology.training.checkpoints import LAST
    from safetensors.torch import load_file

    first, best = weights(encoder, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {LAST, best.file(tmp_path).name} <= names <= {LAST, "best-0.safetensors", "best-1.safetensors"}
    content = torch.load(tmp_path / LAST, weights_only=True)
    assert set(content["state_dict"]) == {f"net.{name}" for name in first}
    assert digest(load_file(best.file(tmp_path))) == digest(first)
    capsys.readouterr()
    again, same = weights(encoder, tmp_path)
    assert digest(again) == digest(first) and same == best
    printed = capsys.readouterr().out
    assert "resuming from epoch 3" in printed and "Training Loss" not in printed


@pytest.fixture(scope="module")
def trainings():
    """Trainings in processes of their own."""
    started = Trainings(__file__)
    yield started
    started.close()


@pytest.mark.slow
def test_killed_and_started_again_it_ends_the_same(trainings, encoder, tmp_path):
    """Six parts an epoch, three steps of two. One process is killed in the first epoch, and one in the second."""
    trainings.check_resumed(encoder, tmp_path, [(4, 0), (8, 1)])


@pytest.mark.slow
def test_two_processes_give_one_process_weights(trainings, encoder, tmp_path):
    """Both cut a step into four patches. Larger parts take other convolutions: where a ReLU's input is 0 but for their rounding
    its gradient comes or goes, and Adam makes that as large as a step (seen: one of 300,000 inputs, 0.06 in the end)."""
    import torch
    from safetensors.torch import load_file

    alone, best = weights(encoder, tmp_path / "alone", QUICK.model_copy(update={"accumulation": 4}))
    done = trainings.run(encoder, tmp_path / "two", together=True)
    assert done.status == 0, done.printed[-2000:]
    together = load_file(best.file(tmp_path / "two"))
    for line in ("Training Loss", "Validation Loss", "Mean_IOU", "Mean_DICE", "Mean_PQ"):
        assert done.printed.count(line) == QUICK.epochs
    assert set(together) == set(alone)
    for name, value in alone.items():
        assert torch.allclose(value, together[name], atol=1e-4), name  # rounding comes to 2e-5 on some CPUs; a step is 1e-2


def test_accumulation_changes_next_to_nothing(encoder, tmp_path):
    """Steps half as many, in contrast, change the loss by far more."""
    losses = {
        name: weights(encoder, tmp_path / name, QUICK.model_copy(update={"epochs": 1, **update}))[1].validation_loss
        for name, update in (("whole", {"accumulation": 1}), ("parts", {}), ("larger", {"batch_size": 8}))
    }
    assert losses["parts"] == pytest.approx(losses["whole"], rel=0.005)
    assert losses["larger"] != pytest.approx(losses["whole"], rel=0.02)


def test_patience_ends_it(encoder, tmp_path, capsys):
    settings = QUICK.model_copy(update={"epochs": 20, "patience": 1, "learning_rate": 1.0})
    _, best = weights(encoder, tmp_path, settings)
    epochs = capsys.readouterr().out.count("Training Loss")
    assert epochs == best.epoch + 1 < 20


def test_bfloat16_trains(encoder, tmp_path):
    """Adapters too: through checkpointed blocks, in half precision."""
    import torch

    start = built(encoder, QUICK)
    trained, best = weights(encoder, tmp_path, QUICK.model_copy(update={"precision": "bfloat16", "epochs": 1}))
    assert np.isfinite(best.validation_loss)
    assert all(value.dtype == torch.float32 and bool(torch.isfinite(value).all()) for value in trained.values())
    moved = [name for name, value in start.encoder_state().items() if not torch.equal(value, trained[f"encoder.{name}"])]
    assert len(moved) == len(start.encoder_state()) > 0


def test_what_is_wrong_is_named(encoder, tmp_path):
    import torch
    from pathology.tasks.lizard.batches import NuclearPatches
    from pathology.tasks.lizard.training import train

    with pytest.raises(RequestError, match="batch-size 5 is global and is shared by 1 processes in 2 parts"):
        weights(encoder, tmp_path, QUICK.model_copy(update={"batch_size": 5}))
    net = built(encoder, QUICK)
    with torch.no_grad():
        net.decoder.heads["nucleus"][-1].bias.fill_(float("nan"))
    data = NuclearPatches(patches(4, 1), 2)
    with pytest.raises(DataError, match="the validation loss was never a number: lower the learning rates"):
        train(net, data, data, QUICK.model_copy(update={"epochs": 1}), tmp_path)


def test_which_patches_are_scored():
    from pathology.tasks.lizard.training import MAX_SCORED, evenly

    assert evenly(5, MAX_SCORED) == [0, 1, 2, 3, 4]
    assert evenly(9, 3) == [0, 4, 8]
    many = evenly(1000, MAX_SCORED)
    assert len(many) == MAX_SCORED and many[0] == 0 and many[-1] == 999
    assert max(np.diff(many)) - min(np.diff(many)) <= 1


def perfect(labels):
    """Maps that say exactly what the labels (B, H, W, 2) say."""
    import torch
    from pathology.tasks.lizard.model import Maps

    nucleus = torch.from_numpy((labels[..., 0] > 0).astype(np.float32))
    distances = torch.from_numpy(np.stack([distance_maps(each[..., 0]) for each in labels]))
    classes = torch.nn.functional.one_hot(torch.from_numpy(labels[..., 1].astype(np.int64)), 3).movedim(-1, 1).float()
    return Maps(nucleus * 20 - 10, distances, classes * 20 - 10), distances


def test_scores_of_patches():
    """A perfect patch, one where half of the nuclei are not seen, one without any."""
    import torch
    from pathology.tasks.lizard.training import nuclei_of, patch_scores

    labels = np.stack([each for _, each in patches(3, 3)])
    labels[2] = 0
    maps, distances = perfect(labels)
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[: SIDE // 2] = True
    maps.nucleus[1][torch.from_numpy(hidden)] = -10
    truth = torch.from_numpy(labels.astype(np.int32)).permute(0, 3, 1, 2)
    loss, iou, dices, pq = patch_scores(maps, truth, distances, [True, True, False]).tolist()
    assert loss[0] < 0.1 < loss[1]
    assert (iou[0], dices[0], pq[0]) == (1, 1, pytest.approx(1, abs=0.05))
    visible = (labels[1, ..., 0] > 0) & ~hidden
    assert iou[1] == pytest.approx(visible.sum() / (labels[1, ..., 0] > 0).sum())
    assert dices[1] == pytest.approx(dice(labels[1, ..., 0] > 0, visible).value)
    assert 0 < pq[1] < pq[0]
    assert pq[1] == score(labels[1, ..., 0], nuclei_of(maps, 1)[..., 0]).pq
    assert (iou[2], dices[2]) == (0, 0) and np.isnan(pq[2])


def test_maps_without_numbers_are_no_nuclei():
    from pathology.tasks.lizard.training import nuclei_of

    maps, _ = perfect(np.stack([patches(1, 3)[0][1]]))
    maps.distances[0, 0, 0, 0] = float("inf")
    assert not nuclei_of(maps, 0).any()


@pytest.mark.slow
def test_it_learns_to_find_discs_and_to_tell_them_apart(encoder, tmp_path):
    """Untrained it finds none; after two hundred steps most, with the right class."""
    import torch
    from pathology.tasks.lizard.batches import NuclearPatches
    from pathology.tasks.lizard.training import nuclei_of, train, validate

    settings = QUICK.model_copy(
        update={"fine_tuning": "frozen", "epochs": 20, "batch_size": 4, "accumulation": 1, "width": 8, "learning_rate": 1e-2}
    )
    net = built(encoder, settings)
    test = NuclearPatches(patches(12, 9), 2)
    before = validate(net, test, 0, torch.device("cpu"))
    train(net, NuclearPatches(patches(40, 1), 2, 0.5, True), NuclearPatches(patches(VALIDATION, 2), 2), settings, tmp_path)
    after = validate(net, test, 1, torch.device("cpu"))
    assert before.pq < 0.1 and after.loss < before.loss
    assert after.dice > 0.9 and after.pq > 0.6
    right = []
    for index in range(len(test)):
        pixels, truth, *_ = test.raw(index)
        with torch.inference_mode():
            labels = nuclei_of(net(pixels[None]), 0)
        both = (labels[..., 0] > 0) & (truth[0].numpy() > 0)
        right.append(labels[..., 1][both] == truth[1].numpy()[both])
    assert np.concatenate(right).mean() > 0.9

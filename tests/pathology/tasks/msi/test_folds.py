"""One epoch for all folds, chosen by all that they held out."""

import pytest
from pathology.contracts.errors import DataError


def run(fold, losses, logits=None):
    """A fold of ``losses`` (E, n); its weights say their epoch."""
    import torch
    from pathology.tasks.msi.folds import FoldRun

    losses = torch.tensor(losses, dtype=torch.float64)
    epochs = torch.arange(1.0, len(losses) + 1)
    shown = losses * 0 + epochs[:, None] if logits is None else torch.tensor(logits, dtype=torch.float64)
    return FoldRun(fold, {"bias": epochs[:, None]}, shown, losses, epochs.double())


def test_all_folds_are_from_the_epoch_with_the_least_loss_over_all():
    """Fold 0 alone would take its second epoch and fold 1 its third: (9 + 3, 4 + 5, 5 + 2) has its least in the third."""
    from pathology.tasks.msi.folds import common_epoch

    runs = [run(0, [[5, 4], [2, 2], [3, 2]]), run(1, [[3], [5], [2]])]
    assert common_epoch(runs) == 3
    assert common_epoch([*runs, run(2, [[1.0], [0.5]])]) == 2  # the third was not reached by all
    model = runs[0].model(3)
    assert (model.epoch, model.validation_loss, model.weights["bias"].tolist()) == (3, 2.5, [3.0])
    assert model.held_out.tolist() == [3.0, 3.0]
    assert (model.curve.best, model.curve.validation) == (3, (4.5, 2.0, 2.5))


def test_losses_that_are_no_numbers_are_not_the_least():
    from pathology.tasks.msi.folds import common_epoch

    nan = float("nan")
    assert common_epoch([run(0, [[nan], [2.0]]), run(1, [[1.0], [1.0]])]) == 2
    with pytest.raises(DataError, match="a number at none of 1 epochs: lower the learning rate"):
        common_epoch([run(0, [[nan]])])


def test_a_checkpoint_is_the_run(tmp_path, capsys):
    from pathology.tasks.msi.folds import read_checkpoint, write_checkpoint

    written = run(4, [[1.0, 2.0], [0.5, 1.5]], [[0.1, 0.2], [0.3, 0.4]])
    write_checkpoint(tmp_path, written)
    read = read_checkpoint(tmp_path, 4)
    assert (read.logits == written.logits).all() and (read.losses == written.losses).all()
    assert read.model(2).curve == written.model(2).curve
    assert read_checkpoint(tmp_path, 3) is None


@pytest.mark.parametrize("damage", [lambda content: content[:40], lambda content: content[:-1] + bytes([content[-1] ^ 1])])
def test_a_damaged_fold_is_said_and_left_beside_the_whole_one(tmp_path, capsys, damage):
    """One bit of a weight is no other format: only its hash shows it."""
    from pathology.tasks.msi.folds import read_checkpoint, write_checkpoint

    written = run(4, [[1.0, 2.0], [0.5, 1.5]], [[0.1, 0.2], [0.3, 0.4]])
    write_checkpoint(tmp_path, written)
    (path,) = tmp_path.iterdir()
    spoilt = path.with_name(f"fold-4-{'0' * 64}.safetensors")
    spoilt.write_bytes(damage(path.read_bytes()))
    assert (read_checkpoint(tmp_path, 4).logits == written.logits).all()
    assert f"{spoilt.name} cannot be read" in capsys.readouterr().out
    path.write_bytes(spoilt.read_bytes())
    assert read_checkpoint(tmp_path, 4) is None and "is recomputed" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 2

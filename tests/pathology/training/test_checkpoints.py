"""A checkpoint's name follows all that decides the weights."""

import hashlib

import pytest
from pathology.contracts.mhist.train import TrainMhist

SETTINGS, INPUTS = TrainMhist(), {"patches": "1", "images": "2"}


def test_all_that_decides_the_weights_is_in_the_key():
    """Each of these alone; and the same again is the same."""
    from pathology.training.checkpoints import checkpoint_key

    keys = [
        checkpoint_key("train_mhist", SETTINGS, INPUTS, "e"),
        checkpoint_key("train_lizard", SETTINGS, INPUTS, "e"),
        checkpoint_key("train_mhist", SETTINGS.model_copy(update={"seed": 1}), INPUTS, "e"),
        checkpoint_key("train_mhist", SETTINGS, {**INPUTS, "patches": "3"}, "e"),
        checkpoint_key("train_mhist", SETTINGS, INPUTS, "f"),
        checkpoint_key("train_mhist", SETTINGS, INPUTS, "e", processes=2),
    ]
    assert len(set(keys)) == len(keys)
    assert checkpoint_key("train_mhist", SETTINGS, dict(reversed(INPUTS.items())), "e") == keys[0]


def saved(folder, epoch, best=b"weights"):
    """A job's files after ``epoch`` epochs, as training writes them."""
    import torch
    from pathology.training.checkpoints import LAST, AtomicCheckpointIO

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "best-0.safetensors").write_bytes(best)
    content = {"epoch": epoch - 1, "best": (epoch, 0.5, hashlib.sha256(best).hexdigest(), 0), "weights": torch.ones(4096)}
    AtomicCheckpointIO().save_checkpoint(content, folder / LAST)
    return folder / LAST


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def job_a(monkeypatch):
    monkeypatch.setenv("TRAINING_JOB_NAME", "job-a")


def test_two_jobs_of_one_key_write_apart_and_a_restart_takes_its_own(tmp_path, monkeypatch, capsys):
    from pathology.training.checkpoints import own_folder, take_up

    paths = {}
    for name, epoch in (("job-a", 2), ("job-b", 5)):
        monkeypatch.setenv("TRAINING_JOB_NAME", name)
        paths[name] = saved(own_folder(tmp_path), epoch)
    before = contents(tmp_path)
    monkeypatch.setenv("TRAINING_JOB_NAME", "job-a")
    assert take_up(tmp_path) == paths["job-a"] and "resuming from epoch 2," in capsys.readouterr().out
    monkeypatch.setenv("TRAINING_JOB_NAME", "job-c")  # a later execution: whoever got furthest
    assert take_up(tmp_path) == paths["job-b"] and "it is from job-b" in capsys.readouterr().out
    assert contents(tmp_path) == before


def flipped(content):
    """One bit of the tensor's bytes."""
    at = content.index(b"\x00\x00\x80\x3f" * 16)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("damage", [flipped, lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"other's"])
def test_what_is_not_whole_is_said_left_there_and_passed_over(tmp_path, job_a, capsys, damage):
    from pathology.training.checkpoints import take_up

    spoilt = saved(tmp_path / "job-a", 5)
    spoilt.write_bytes(damage(spoilt.read_bytes()))
    assert take_up(tmp_path) is None
    printed = capsys.readouterr().out
    assert "job-a/last.ckpt is left alone" in printed and "training starts from the first epoch" in printed
    whole = saved(tmp_path / "job-b", 1)
    before = contents(tmp_path)
    assert take_up(tmp_path) == whole and contents(tmp_path) == before


def test_a_best_epoch_of_another_moment_is_not_taken(tmp_path, job_a, capsys):
    """The service uploads file by file: an interruption may leave a new one beside an old one."""
    from pathology.training.checkpoints import take_up

    path = saved(tmp_path / "job-a", 2)
    (path.parent / "best-0.safetensors").write_bytes(b"another epoch's")
    assert take_up(tmp_path) is None
    assert "best-0.safetensors is not the best epoch's" in capsys.readouterr().out
    (path.parent / "best-0.safetensors").unlink()
    assert take_up(tmp_path) is None
    assert "best-0.safetensors, is gone" in capsys.readouterr().out

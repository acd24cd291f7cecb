"""The mhist benchmark measures what it says: the second run reads no patch, both fits see the same, the checkpoint comes back."""

import shutil

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.encoders.tiny import ARGUMENTS

from benchmarks import mhist

COUNT = 110
"""Patches; the benchmark takes a hundred at least."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mhist")
    rows = mhist.make_data(folder, COUNT)
    return folder, rows, mhist.embed(folder, rows)[1]


@pytest.mark.slow
def test_the_second_run_takes_nothing_from_the_patches(made, tmp_path):
    folder, rows, embeddings = made
    for name in (mhist.MODELS, mhist.CACHE):
        shutil.copytree(folder / name, tmp_path / name)
    assert np.array_equal(mhist.embed(tmp_path, rows)[1], embeddings)
    shutil.rmtree(tmp_path / mhist.CACHE)
    with pytest.raises(DataError, match="cannot be read"):
        mhist.embed(tmp_path, rows)


def test_embeddings_are_of_distinct_patches(made):
    _, rows, embeddings = made
    assert len({row.sha256 for row in rows}) == len(rows) == len(np.unique(embeddings, axis=0)) == COUNT


def test_the_probe_is_scikit_learns(made):
    _, rows, embeddings = made
    figures = mhist.compare_probes(rows, embeddings)
    assert figures["test_patches"] == sum(row.split == "test" for row in rows)
    assert figures["balanced_accuracy_probe"] > 65  # and so there is something to agree on
    assert figures["difference_in_points"] <= 0.5
    assert figures["largest_difference_of_probability"] < 0.01


@pytest.mark.slow
def test_a_saved_encoder_comes_back_whole(tmp_path):
    figures = mhist.save_and_reload(tmp_path / "encoder", ARGUMENTS, 48)
    assert figures["full_size_keys_changed"] == 0
    assert figures["full_size_parameters"] * 4 == pytest.approx(figures["checkpoint_gb"] * 1e9, rel=0.2)
    assert figures["full_size_embedding_std"] == pytest.approx(1, abs=0.3)
    assert 0.1 < figures["peak_gb_reload"] <= figures["peak_gb_reload_and_embed"] < 3


def test_a_damaged_checkpoint_does_not_come_back(tmp_path):
    mhist.build_and_save(tmp_path / "encoder", ARGUMENTS, 48)
    with (tmp_path / "encoder" / "checkpoint.pth").open("r+b") as file:
        file.seek(5000)
        file.write(b"damaged")
    with pytest.raises(DataError, match="another sha256"):
        mhist.reload(tmp_path / "encoder")


def test_keys_that_were_exchanged_are_counted(tmp_path, monkeypatch):
    """The sums tell every tensor from every other, so that an exchange of two would show."""
    sums = mhist.build_and_save(tmp_path / "encoder", ARGUMENTS, 48)[1]
    assert len(set(sums.values())) == len(sums)
    monkeypatch.setattr(
        mhist, "apart", lambda work, *_: ({}, {"a": 1.0, "b": 2.0} if work is mhist.reload else {"a": 2.0, "b": 1.0})
    )
    assert mhist.save_and_reload(tmp_path, {}, 48)["full_size_keys_changed"] == 2

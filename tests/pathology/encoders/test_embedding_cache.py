"""Embeddings are computed once for the same bytes, encoder and preparation, and again for any other."""

import numpy as np
import pytest
from patch_sets import patches
from pathology.encoders.embedding_cache import cache_folder, embed_patches
from pathology.encoders.encoder import load_encoder
from pathology.encoders.tiny import make_tiny_encoder


class Counted:
    """Patches that remember which of them were read."""

    def __init__(self, made):
        self.made, self.read = made, []

    def __getitem__(self, index):
        self.read.append(index)
        return self.made[index]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    make_tiny_encoder(folder)
    return load_encoder(folder)


@pytest.fixture(scope="module")
def made():
    return patches(9)[0]


def names(count):
    return [f"{number:064x}" for number in range(count)]


def test_the_second_run_reads_no_patch(encoder, made, tmp_path, capsys):
    source = Counted(made)
    first = embed_patches(encoder, source, names(9), tmp_path, batch_size=4)
    assert sorted(source.read) == list(range(9))
    expected = np.concatenate([encoder.embed(np.stack(made[start : start + 4])) for start in (0, 4, 8)])
    assert np.array_equal(first, expected)
    assert "9 of 9 patches computed" in capsys.readouterr().out
    source.read.clear()
    assert np.array_equal(embed_patches(encoder, source, names(9), tmp_path, batch_size=4), first)
    assert source.read == []
    assert "9 of 9 patches are known already" in capsys.readouterr().out


def test_only_new_bytes_are_read_and_the_same_bytes_once(encoder, made, tmp_path):
    source = Counted(made)
    hashes = names(9)
    embed_patches(encoder, source, hashes[:6], tmp_path)
    source.read.clear()
    wanted = [hashes[8], hashes[2], hashes[8], hashes[7]]
    renamed = Counted([made[8], made[2], made[8], made[7]])
    embeddings = embed_patches(encoder, renamed, wanted, tmp_path)
    assert renamed.read == [0, 3]
    assert np.array_equal(embeddings[0], embeddings[2])
    assert np.allclose(embeddings, encoder.embed(np.stack(renamed.made)), atol=2e-2)


def test_another_encoder_or_preparation_has_its_own_folder(encoder, tmp_path):
    other = make_tiny_encoder(tmp_path / "other", seed=1)
    assert other.sha256 != encoder.manifest.sha256
    folders = {cache_folder(tmp_path, encoder), cache_folder(tmp_path, load_encoder(tmp_path / "other"))}
    folders.add(cache_folder(tmp_path, load_encoder(tmp_path / "other", precision="bfloat16")))
    (tmp_path / "other" / "encoder.json").write_bytes(other.model_copy(update={"mean": (0.5, 0.5, 0.5)}).to_json())
    folders.add(cache_folder(tmp_path, load_encoder(tmp_path / "other")))
    assert len(folders) == 4


@pytest.mark.parametrize("damage", [lambda content: content[:-7], lambda content: b"", lambda content: b"\xff" * 40])
def test_a_damaged_file_is_said_and_recomputed(encoder, made, tmp_path, capsys, damage):
    first = embed_patches(encoder, Counted(made), names(9), tmp_path)
    (path,) = cache_folder(tmp_path, encoder).iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert np.array_equal(embed_patches(encoder, Counted(made), names(9), tmp_path), first)
    assert f"{path.name} cannot be read" in capsys.readouterr().out
    assert path.read_bytes() == whole


def test_what_was_finished_survives_an_interruption(encoder, made, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr("pathology.encoders.embedding_cache.PART", 4)

    class Cut(Counted):
        def __getitem__(self, index):
            if index == 6:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt):
        embed_patches(encoder, Cut(made), names(9), tmp_path)
    source = Counted(made)
    embed_patches(encoder, source, names(9), tmp_path)
    assert min(source.read) == 4
    assert not [path for path in cache_folder(tmp_path, encoder).iterdir() if path.suffix != ".safetensors"]
    assert torch.is_inference_mode_enabled() is False

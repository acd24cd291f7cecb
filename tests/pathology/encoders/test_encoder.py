"""The encoder comes from its manifest and checkpoint, whole and checked, or not at all."""

import pickle

import cv2
import numpy as np
import pytest
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.hashes import sha256_of
from pathology.encoders.encoder import H_OPTIMUS_0_ARCHITECTURE, H_OPTIMUS_0_ARGUMENTS, build, load_encoder
from pathology.encoders.manifest import find_manifest
from pathology.encoders.tiny import make_tiny_encoder


@pytest.fixture
def tiny(tmp_path):
    folder = tmp_path / "tiny"
    return folder, make_tiny_encoder(folder)


def rewrite(folder, manifest, weights=None, **changes):
    """Change the checkpoint, and the manifest so that the hash is right."""
    import torch

    if weights is not None:
        torch.save(weights, folder / manifest.checkpoint)
    changed = manifest.model_copy(update={"sha256": sha256_of(folder / manifest.checkpoint), **changes})
    (folder / "encoder.json").write_bytes(changed.to_json())


def tiles(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 224, 224, 3), np.uint8)


def test_the_tiny_encoder_says_what_it_is_and_is_the_same_every_time(tiny, tmp_path):
    folder, manifest = tiny
    assert make_tiny_encoder(tmp_path / "again") == manifest
    assert (tmp_path / "again" / "checkpoint.pth").read_bytes() == (folder / "checkpoint.pth").read_bytes()
    assert make_tiny_encoder(tmp_path / "other", seed=1).sha256 != manifest.sha256
    assert manifest.placeholder and "random" in manifest.remark
    assert manifest.architecture == H_OPTIMUS_0_ARCHITECTURE


def test_the_tiny_encoder_is_of_the_family():
    shapes = {}
    for arguments in (H_OPTIMUS_0_ARGUMENTS, {**H_OPTIMUS_0_ARGUMENTS, "embed_dim": 48, "depth": 40, "num_heads": 3}):
        manifest = EncoderManifest(
            name="x", architecture=H_OPTIMUS_0_ARCHITECTURE, arguments=arguments, sha256="0" * 64, dimension=1
        )
        state = build(manifest).state_dict()
        shapes[arguments.get("embed_dim", 1536)] = set(state)
        if "embed_dim" not in arguments:
            assert len(state) == 567 and sum(tensor.numel() for tensor in state.values()) == 1_134_774_272
            assert tuple(state["patch_embed.proj.weight"].shape) == (1536, 3, 14, 14)
            assert tuple(state["reg_token"].shape) == (1, 4, 1536)
    assert shapes[1536] == shapes[48]


def test_embeddings_are_the_normed_class_token_of_normalised_tiles(tiny):
    import torch

    folder, manifest = tiny
    encoder = load_encoder(folder, "cpu", "float32")
    shown = tiles(3)
    embeddings = encoder.embed(shown)
    assert embeddings.shape == (3, manifest.dimension) and embeddings.dtype == np.float16
    pixels = (shown / 255 - np.array(manifest.mean)) / np.array(manifest.std)
    with torch.inference_mode():
        tokens = encoder.model.forward_features(torch.from_numpy(pixels).float().permute(0, 3, 1, 2))
    assert tokens.shape == (3, 5 + 256, manifest.dimension)
    assert np.abs(embeddings - tokens[:, 0].numpy()).max() < 2e-3
    assert embeddings.astype(np.float32).mean(axis=1) == pytest.approx([0, 0, 0], abs=1e-2)  # LayerNorm
    assert np.abs(embeddings[0] - encoder.embed(np.zeros((1, 224, 224, 3), np.uint8))[0]).max() > 0.1


def pictures(count, seed=0):
    """Tiles as tissue is: soft shapes in pink and violet, bright glass, a little noise."""
    random = np.random.default_rng(seed)
    soft = [cv2.resize(random.normal(0, 40, (28, 28, 3)), (224, 224), interpolation=cv2.INTER_CUBIC) for _ in range(count)]
    return np.clip(np.array(soft) + np.array([200, 150, 190]) + random.normal(0, 6, (count, 224, 224, 3)), 0, 255).astype(
        np.uint8
    )


def test_bytes_by_merged_weights_give_what_normalised_pixels_give(tiny):
    """In float tolerance, on extremes too; and the encoder itself, which others train and save, is as it was."""
    import torch
    from pathology.encoders.from_bytes import from_bytes

    folder, manifest = tiny
    encoder = load_encoder(folder, "cpu", "float32")
    shown = np.concatenate(
        [pictures(2), tiles(1), np.zeros((1, 224, 224, 3), np.uint8), np.full((1, 224, 224, 3), 255, np.uint8)]
    )
    pixels = torch.from_numpy(shown).permute(0, 3, 1, 2)
    means, stds = (torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (manifest.mean, manifest.std))
    merged = from_bytes(encoder.model, manifest.mean, manifest.std)
    with torch.inference_mode():
        seen = merged.forward_features(pixels)
        exact = encoder.model.double().forward_features((pixels.double() / 255 - means) / stds)
    assert (seen - exact).abs().max() < 1e-4 and exact.std() > 0.5
    assert set(encoder.model.state_dict()) == set(torch.load(folder / manifest.checkpoint, weights_only=True))
    assert isinstance(encoder.model.patch_embed.proj, torch.nn.Conv2d)
    assert merged.blocks is encoder.model.blocks, "no copy of what is large"


@pytest.mark.parametrize("padding", [1, "same"])
def test_a_patch_embedding_that_pads_cannot_take_bytes(padding):
    """Its zeros stand for the mean colour; among bytes they are black."""
    import torch
    from pathology.encoders.from_bytes import ByteProjection

    with pytest.raises(ValueError, match="pads with zeros"):
        ByteProjection(torch.nn.Conv2d(3, 4, 3, padding=padding), (0.5,) * 3, (0.2,) * 3)


@pytest.mark.parametrize(("precision", "arithmetic"), [("float16", "float32"), ("bfloat16", "bfloat16")])
def test_half_precision_keeps_the_direction_of_every_embedding(tiny, precision, arithmetic):
    """The contract: a cosine of at least 0.9999 to the float32 embedding, tile by tile."""
    encoder = load_encoder(tiny[0], "cpu", precision)
    assert encoder.arithmetic == arithmetic
    shown = np.concatenate([pictures(4), tiles(2)])
    exact, half = (one.embed(shown).astype(np.float64) for one in (load_encoder(tiny[0], "cpu", "float32"), encoder))
    cosines = (exact * half).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(half, axis=1)
    assert cosines.min() >= 0.9999
    assert np.array_equal(exact, half) == (arithmetic == "float32")


def test_a_tile_is_embedded_alike_alone_and_in_a_batch(tiny):
    encoder = load_encoder(tiny[0], precision="float32")
    batch = tiles(3)
    alone = np.concatenate([encoder.embed(tile[None]) for tile in batch])
    assert np.allclose(encoder.embed(batch), alone, atol=1e-2)
    assert np.ptp(alone, axis=0).max() > 0.1


def test_tiles_of_another_size_are_refused(tiny):
    encoder = load_encoder(tiny[0])
    with pytest.raises(DataError, match=r"takes \(B, 224, 224, 3\) uint8"):
        encoder.embed(np.zeros((1, 256, 256, 3), np.uint8))


def test_a_changed_checkpoint_is_refused_before_it_is_opened(tiny, tmp_path):
    folder, manifest = tiny

    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").write_text, ("x",))

    (folder / manifest.checkpoint).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match="another sha256"):
        load_encoder(folder)
    rewrite(folder, manifest)
    with pytest.raises(DataError, match="not a checkpoint of tensors alone"):
        load_encoder(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("norm.weight"), r"lacks 'norm.weight' \(1 keys"),
        (lambda w: w.update({"head.weight": w["norm.weight"][:1]}), "has besides 'head.weight'"),
        (lambda w: w.update({"norm.weight": w["norm.weight"][:7].clone()}), r"'norm.weight' has the shape \(7,\), not \(48,\)"),
    ],
)
def test_keys_and_shapes_must_be_the_models(tiny, change, words):
    import torch

    folder, manifest = tiny
    weights = torch.load(folder / manifest.checkpoint, weights_only=True)
    change(weights)
    rewrite(folder, manifest, weights)
    with pytest.raises(DataError, match=words):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "hf-hub:someone/model"}, "no architecture 'hf-hub:someone/model'"),
        ({"arguments": {"checkpoint_path": "/etc/passwd"}}, "argument 'checkpoint_path'"),
    ],
)
def test_a_manifest_can_name_no_hub_and_no_file(tiny, changes, words):
    folder, manifest = tiny
    rewrite(folder, manifest, **changes)
    with pytest.raises(DataError, match=words):
        load_encoder(folder)


def test_the_only_manifest_is_found_and_several_are_refused(tiny, tmp_path):
    folder, manifest = tiny
    assert find_manifest(tmp_path) == (folder, manifest)
    assert find_manifest(folder) == (folder, manifest)
    with pytest.raises(DataError, match=r"no encoder.json there.*pathology.encoders.describe"):
        find_manifest(tmp_path / "tiny" / "nowhere")
    make_tiny_encoder(tmp_path / "other")
    with pytest.raises(DataError, match=r"several encoders \(other, tiny\)"):
        find_manifest(tmp_path)


def test_a_batch_that_does_not_fit_is_embedded_in_parts_and_the_size_is_remembered(tiny, monkeypatch):
    """As a GPU runs out of memory: anything over three tiles at once does not fit."""
    import torch

    encoder = load_encoder(tiny[0])
    tiles = np.random.default_rng(0).integers(0, 256, (10, 224, 224, 3), np.uint8)
    whole = encoder.embed(tiles)
    forward, sizes = encoder._forward, []

    def tight(part):
        sizes.append(len(part))
        if len(part) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(part)

    monkeypatch.setattr(encoder, "_forward", tight)
    assert np.abs(encoder.embed(tiles).astype(float) - whole).max() < 2e-2
    assert sizes == [10, 5, 2, 2, 2, 2, 2]
    sizes.clear()
    encoder.embed(tiles[:4])
    assert sizes == [2, 2]


def test_no_memory_for_one_tile_is_said_in_words(tiny, monkeypatch):
    import torch

    encoder = load_encoder(tiny[0])
    monkeypatch.setattr(encoder, "_forward", lambda part: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(DataError, match="no memory for one tile"):
        encoder.embed(np.zeros((2, 224, 224, 3), np.uint8))


def test_the_device_chooses_the_batch_unless_somebody_does(tiny):
    encoder = load_encoder(tiny[0])
    assert encoder.batch(5) == 5
    assert encoder.batch(0) > 0


def test_where_two_encoders_lie_side_by_side_the_checkpoint_says_which(tmp_path):
    make_tiny_encoder(tmp_path / "one")
    manifest = find_manifest(tmp_path)[1]
    other = manifest.model_copy(update={"name": "another", "sha256": "0" * 64})
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "encoder.json").write_text(other.model_dump_json())
    with pytest.raises(DataError, match="several encoders"):
        find_manifest(tmp_path)
    assert find_manifest(tmp_path, manifest.sha256) == (tmp_path / "one", manifest)
    with pytest.raises(DataError, match="no encoder with a checkpoint of sha256 1"):
        find_manifest(tmp_path, "1" * 64)

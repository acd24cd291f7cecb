"""The patch classifier's artefact: what is saved is loaded for every way of fine-tuning, and what is not ours is refused by name."""

import json
import shutil

import numpy as np
import pytest
from patch_sets import patches
from pathology.contracts.code import Code
from pathology.contracts.errors import DataError, RequestError
from pathology.encoders.encoder import load_encoder
from pathology.encoders.tiny import make_tiny_encoder

FINE_TUNINGS = ("linear", "lora", "last-blocks", "full")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The tiny encoder's folder."""
    folder = tmp_path_factory.mktemp("encoder")
    make_tiny_encoder(folder)
    return folder


def classifier(encoder, fine_tuning, seed=0):
    """One whose trained parameters are not where they started."""
    import torch
    from pathology.patches.classifier import PatchClassifier

    loaded = load_encoder(encoder, precision="float32")
    made = PatchClassifier(loaded.manifest, loaded.model, fine_tuning, rank=4, blocks=1, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in made.parameters():
            if value.requires_grad:
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return made.eval()


def save(folder, made, **changes):
    """Save a classifier as its artefact."""
    from pathology.artefact import EncoderIdentity, save_artefact
    from pathology.patches.artefact import Validation, pack_weights
    from pathology.patches.head import Head
    from pathology.tasks.mhist.artefact import MhistConfig

    manifest = made.manifest
    head = Head.of(made.head_state(), manifest.dimension, "the head")
    files, head_entry, encoder_entry = pack_weights(head, made.encoder_state())
    config = MhistConfig(
        labels=("HP", "SSA"),
        threshold=0.4,
        pixels=manifest.pixels,
        mean=manifest.mean,
        std=manifest.std,
        encoder=EncoderIdentity.of(manifest),
        fine_tuning=made.fine_tuning,
        rank=4,
        blocks=1,
        head=head_entry,
        encoder_weights=encoder_entry,
        validation=Validation(patches=4, positives=2, loss=0.5, accuracy=0.8, auroc=0.9, epoch=3),
        training={"fine-tuning": made.fine_tuning},
        inputs={"patches": "c" * 64},
        serving_code="0" * 16,
        versions={"torch": "2"},
    ).model_copy(update=changes)
    save_artefact(folder, config, files, Code({}), "pathology.tasks.mhist.serving")
    return folder


@pytest.fixture(scope="module")
def saved(encoder, tmp_path_factory):
    """The artefact of one with adapters, to be copied before anything is written there."""
    return save(tmp_path_factory.mktemp("lora") / "model", classifier(encoder, "lora"))


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of it."""
    return shutil.copytree(saved, tmp_path / "model")


@pytest.mark.parametrize("fine_tuning", FINE_TUNINGS)
def test_what_is_saved_is_loaded(encoder, tmp_path, fine_tuning):
    import torch
    from pathology.patches.artefact import load_model
    from pathology.tasks.mhist.artefact import MhistConfig

    made = classifier(encoder, fine_tuning)
    batch = np.stack(patches(6)[0])
    with torch.inference_mode():
        expected = torch.sigmoid(made(torch.from_numpy(batch).permute(0, 3, 1, 2))).numpy()
    loaded = load_model(save(tmp_path / "model", made), encoder, MhistConfig)
    probabilities = loaded.probabilities(batch)
    assert probabilities.dtype == np.float64 and probabilities.shape == (6,)
    assert np.allclose(probabilities, expected, atol=2e-3)  # the class token is rounded to float16, as for features
    assert len(set(probabilities.round(4))) > 1
    alone = np.concatenate([loaded.probabilities(one[None]) for one in batch])
    assert np.allclose(probabilities, alone, atol=2e-3)
    assert loaded.version == loaded.sha256[:12]


def test_what_each_way_of_fine_tuning_trains(encoder):
    from pathology.encoders.adapters import set_trainable

    trained = {fine_tuning: set(classifier(encoder, fine_tuning).encoder_state()) for fine_tuning in FINE_TUNINGS}
    everything = set(load_encoder(encoder).model.state_dict())
    assert trained["linear"] == set() and trained["full"] == everything
    assert {name.split(".")[0] for name in trained["last-blocks"]} == {"blocks", "norm"}
    assert {name.split(".")[1] for name in trained["last-blocks"] if name.startswith("blocks")} == {"1"}
    assert len(trained["lora"]) == 2 * 2 * 2  # two blocks, qkv and proj, A and B
    assert all(".attn.qkv.lora_" in name or ".attn.proj.lora_" in name for name in trained["lora"])
    with pytest.raises(RequestError, match="blocks 3: the encoder has 2"):
        set_trainable(load_encoder(encoder).model, "last-blocks", 1, 3)


def test_new_adapters_change_nothing_and_folded_ones_leave_the_encoders_own_names(encoder):
    from pathology.encoders.adapters import merge_adapters
    from pathology.patches.classifier import PatchClassifier, serving_encoder

    base = load_encoder(encoder, precision="float32")
    batch = np.stack(patches(2)[0])
    expected = base.embed(batch)
    fresh = load_encoder(encoder, precision="float32")
    assert np.array_equal(
        serving_encoder(PatchClassifier(fresh.manifest, fresh.model, "lora", 4, 1), fresh.device).embed(batch), expected
    )
    made = classifier(encoder, "lora")
    merge_adapters(made.encoder)
    assert made.encoder.state_dict().keys() == base.model.state_dict().keys()


def test_the_seed_alone_starts_the_adapters(encoder):
    import torch
    from pathology.patches.classifier import PatchClassifier

    states = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(noise)
        loaded = load_encoder(encoder)
        states.append(PatchClassifier(loaded.manifest, loaded.model, "lora", 4, 1, seed).encoder_state())
    name = "blocks.0.attn.qkv.lora_A.default.weight"
    assert torch.equal(states[0][name], states[1][name]) and not torch.equal(states[0][name], states[2][name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 3}, "format version 3 and this code reads 2: use newer code"),
        ({"format_version": 1}, "format version 1 and this code reads 2: train the model again, or use the code"),
        ({"task": "msi"}, "task"),
        ({"threshold": -1}, "threshold"),
        ({"surplus": 1}, "surplus: unknown key"),
        ({"pixels": 448}, "its manifest says pixels 224 and the model was trained with 448"),
        ({"mean": [0.5, 0.5, 0.5]}, "its manifest says mean"),
        ({"rank": 8}, r"encoder.safetensors: 'blocks.0.attn.proj.lora_A.default.weight' has the shape|has the shape"),
        ({"fine_tuning": "full"}, "it lacks .* not trained with fine-tuning full"),
        ({"fine_tuning": "linear"}, "it has besides .* not trained with fine-tuning linear"),
        ({"encoder_weights": None}, "names no encoder.safetensors, and fine-tuning lora trains some"),
        ({"head": {"file": "../x", "sha256": "a" * 64}}, "head.file"),
    ],
)
def test_another_configuration_is_refused(encoder, folder, changes, message):
    from pathology.patches.artefact import load_model
    from pathology.tasks.mhist.artefact import MhistConfig

    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(DataError, match=message) as caught:
        load_model(folder, encoder, MhistConfig)
    assert "\n" not in str(caught.value)


def test_another_encoder_is_refused(encoder, tmp_path):
    from pathology.patches.artefact import load_model
    from pathology.tasks.mhist.artefact import MhistConfig

    make_tiny_encoder(tmp_path / "other", seed=1)
    folder = save(tmp_path / "model", classifier(encoder, "linear"))
    with pytest.raises(DataError, match=r"trained on encoder tiny-seeded \(sha256 [0-9a-f]{12}…\) and was given tiny-seeded-1"):
        load_model(folder, tmp_path / "other", MhistConfig)


@pytest.mark.parametrize("file", ["head.safetensors", "encoder.safetensors"])
def test_weights_gone_or_changed_are_named(encoder, folder, file):
    from pathology.patches.artefact import load_model
    from pathology.tasks.mhist.artefact import MhistConfig
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / file)
    first = sorted(tensors)[0]
    tensors[first] = tensors[first] + 1
    save_file(tensors, folder / file)
    with pytest.raises(DataError, match=rf"{file} is not the one that was trained"):
        load_model(folder, encoder, MhistConfig)
    (folder / file).unlink()
    with pytest.raises(DataError, match=rf"lacks {file}"):
        load_model(folder, encoder, MhistConfig)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": [0, 0, 0, 0]}, "lacks 'bias'"),
        ({"weight": [0, 0, 0, 0], "bias": 0, "x": [0]}, "has besides 'x'"),
        ({"weight": [[0, 0, 0, 0]], "bias": 0}, r"'weight' has the shape \(1, 4\), not \(4,\)"),
        ({"weight": [np.nan] * 4, "bias": 0}, "'weight' holds a value that is not a number"),
    ],
)
def test_a_head_of_another_shape_is_refused(tensors, message):
    import torch
    from pathology.patches.head import Head

    with pytest.raises(DataError, match=message):
        Head.of({name: torch.tensor(values, dtype=torch.float32) for name, values in tensors.items()}, 4, "the head")


def test_probabilities_stay_finite_far_out():
    from pathology.patches.head import Head

    head = Head(np.ones(2), 0.0)
    assert head.probabilities(np.array([[-1e4, -1e4], [0, 0], [1e4, 1e4]])).tolist() == [0.0, 0.5, 1.0]

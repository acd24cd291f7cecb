"""The lizard artefact: what is saved is loaded, with and without adapters, and what is not ours is refused by name."""

import json
import re
import shutil

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.encoders.tiny import make_tiny_encoder
from pathology.nuclei.classes import label_map
from pathology.nuclei.watershed import STANDARD, WatershedParams

MODES = ("frozen", "lora")
DECODER, ENCODER_WEIGHTS = "decoder.safetensors", "encoder.safetensors"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The tiny encoder's folder."""
    folder = tmp_path_factory.mktemp("encoder")
    make_tiny_encoder(folder)
    return folder


@pytest.fixture(scope="module")
def nets(encoder):
    """A network of random weights for each mode of fine-tuning; no test changes them."""
    from nuclear_models import network

    return {fine_tuning: network(encoder, fine_tuning) for fine_tuning in MODES}


@pytest.fixture(scope="module")
def saved(nets, tmp_path_factory):
    """Their artefacts' folders, to be copied before anything is written there."""
    from nuclear_models import save

    return {fine_tuning: save(tmp_path_factory.mktemp(fine_tuning) / "model", net) for fine_tuning, net in nets.items()}


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the artefact with adapters."""
    return shutil.copytree(saved["lora"], tmp_path / "model")


@pytest.mark.parametrize("fine_tuning", MODES)
def test_what_is_saved_is_loaded(encoder, nets, saved, fine_tuning):
    import torch
    from nuclear_models import picture
    from pathology.tasks.lizard.artefact import load_lizard

    net, image = nets[fine_tuning], picture(0)
    loaded = load_lizard(saved[fine_tuning], encoder)
    (labels,) = loaded.labels([image])
    with torch.inference_mode():
        maps = net(torch.from_numpy(image[None]).permute(0, 3, 1, 2))
    nucleus, distances, classes = maps.nucleus.sigmoid()[0], maps.distances[0], maps.classes.softmax(1)[0]
    expected = label_map(nucleus.numpy(), distances.numpy(), classes.numpy())
    assert labels.dtype == np.uint16 and labels.shape == (256, 256, 2)
    assert expected[..., 0].max() > 5, "these weights see nuclei"
    assert np.mean(labels != expected) < 0.001  # folded adapters add up in another order
    assert loaded.version == loaded.sha256[:12]
    assert (loaded.config.pixels, loaded.config.overlap, loaded.config.mpp) == (256, 64, 0.5)


def test_what_each_mode_of_fine_tuning_keeps(encoder, nets, saved):
    from nuclear_models import picture
    from pathology.tasks.lizard.artefact import load_lizard
    from safetensors.torch import load_file

    for fine_tuning in MODES:
        assert load_file(saved[fine_tuning] / DECODER).keys() == nets[fine_tuning].decoder.state_dict().keys()
        assert (saved[fine_tuning] / ENCODER_WEIGHTS).exists() == (fine_tuning == "lora")
    assert all(".lora_" in name for name in load_file(saved["lora"] / ENCODER_WEIGHTS))
    frozen, adapted = (load_lizard(saved[fine_tuning], encoder).labels([picture(0)])[0] for fine_tuning in MODES)
    assert not np.array_equal(adapted, frozen)


def test_the_same_network_gives_the_same_bytes(encoder, tmp_path):
    from nuclear_models import network, save
    from pathology.tasks.lizard import serving
    from pathology.tasks.lizard.artefact import SERVING

    folders = [save(tmp_path / name, network(encoder, "lora")) for name in ("one", "two")]
    files = [{path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")} for folder in folders]
    assert files[0] == files[1]
    assert set(files[0]) == {"config.json", "learned-from.json", DECODER, ENCODER_WEIGHTS, "code/inference.py"}
    assert f"from {SERVING} import".encode() in files[0]["code/inference.py"] and serving.__name__ == SERVING


def test_the_watershed_s_parameters_travel(encoder, nets, tmp_path):
    from nuclear_models import save
    from pathology.tasks.lizard.artefact import Watershed, load_lizard

    params = WatershedParams(threshold=0.4, smoothing=1.5, smallest_marker=3, smallest=5, largest_hole=0)
    loaded = load_lizard(save(tmp_path / "model", nets["frozen"], watershed=params), encoder)
    assert loaded.predictor.watershed == loaded.config.watershed.params() == params
    assert set(Watershed.model_fields) == set(vars(STANDARD))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 3}, "format version 3 and this code reads 2: use newer code"),
        ({"format_version": 1}, "format version 1 and this code reads 2: train the model again, or use the code"),
        ({"task": "mhist"}, "task"),
        ({"surplus": 1}, "surplus: unknown key"),
        ({"classes": ["a", "a"]}, "different names"),
        ({"classes": ["a", "b"]}, rf"{DECODER}: 'heads.classes.[a-z0-9.]+' has the shape \(7,.*\), not \(3,"),
        ({"mean": [0.5, 0.5, 0.5]}, "its manifest says mean"),
        ({"std": [0.5, 0.5, 0.5]}, "its manifest says std"),
        ({"rank": 3}, rf"{ENCODER_WEIGHTS}: 'blocks.0.attn.qkv.lora_A.default.weight' has the shape"),
        ({"width": 8}, rf"{DECODER}: '[a-z0-9.]+' has the shape"),
        ({"width": 0}, "width"),
        ({"fine_tuning": "frozen"}, f"encoder_weights: names {ENCODER_WEIGHTS}, and fine_tuning is frozen"),
        ({"encoder_weights": None}, "encoder_weights: names None, and fine_tuning is lora"),
        ({"overlap": 200}, "200 px is more than half of 256"),
        ({"pixels": 0}, "pixels"),
        ({"decoder": {"file": "../x", "sha256": "a" * 64}}, "decoder.file"),
        ({"watershed": {**vars(STANDARD), "threshold": 2}}, "threshold lies between 0 and 1"),
    ],
)
def test_another_configuration_is_refused(encoder, folder, changes, message):
    from pathology.tasks.lizard.artefact import load_lizard

    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(DataError, match=message) as caught:
        load_lizard(folder, encoder)
    assert "\n" not in str(caught.value)


def test_another_encoder_is_refused(saved, tmp_path):
    from pathology.tasks.lizard.artefact import load_lizard

    make_tiny_encoder(tmp_path / "other", seed=1)
    with pytest.raises(DataError, match=r"trained on encoder tiny-seeded \(sha256 [0-9a-f]{12}…\) and was given tiny-seeded-1"):
        load_lizard(saved["frozen"], tmp_path / "other")


@pytest.mark.parametrize("file", [DECODER, ENCODER_WEIGHTS])
def test_weights_gone_or_changed_are_named(encoder, folder, file):
    from pathology.tasks.lizard.artefact import load_lizard
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / file)
    first = sorted(tensors)[0]
    tensors[first] = tensors[first] + 1
    save_file(tensors, folder / file)
    with pytest.raises(DataError, match=rf"{file} is not the one that was trained"):
        load_lizard(folder, encoder)
    (folder / file).unlink()
    with pytest.raises(DataError, match=rf"lacks {file}"):
        load_lizard(folder, encoder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state, name: state.pop(name), "lacks {name}"),
        (lambda state, name: state.update(x=state[name]), "has besides 'x'"),
        (lambda state, name: state.update({name: state[name][None]}), "{name} has the shape"),
        (
            lambda state, name: state.update({name: state[name] * np.nan}),
            "{name} holds a value that is not a number",
        ),
    ],
)
@pytest.mark.parametrize("part", [0, 1])
def test_weights_that_do_not_fit_are_named(nets, change, message, part):
    from pathology.tasks.lizard.artefact import restore

    net = nets["lora"]
    states = [{name: value.clone() for name, value in state.items()} for state in (net.decoder.state_dict(), net.encoder_state())]
    name = sorted(states[part])[0]
    change(states[part], name)
    with pytest.raises(
        DataError, match=re.escape(f"{(DECODER, ENCODER_WEIGHTS)[part]}: ") + ".*" + message.format(name=repr(name))
    ):
        restore(net, *states)


def test_a_network_is_restored_to_the_last_bit(encoder):
    import torch
    from nuclear_models import network
    from pathology.tasks.lizard.artefact import restore

    one, other = network(encoder, "lora"), network(encoder, "lora", seed=1)
    restore(other, one.decoder.state_dict(), one.encoder_state())
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())

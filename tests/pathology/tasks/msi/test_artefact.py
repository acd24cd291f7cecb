"""The artefact: what is saved is loaded, and what is not ours is refused."""

import json
import tarfile

import pytest
from pathology.contracts.code import Code
from pathology.contracts.errors import DataError


@pytest.fixture
def saved(tmp_path):
    """An ensemble of two; its folder."""
    import torch
    from pathology.artefact import EncoderIdentity, save_artefact
    from pathology.tasks.msi.artefact import MsiConfig, OutOfFold, fold_file
    from pathology.tasks.msi.model import GatedAttention

    torch.manual_seed(0)
    weights = [GatedAttention(6, 8).state_dict() for _ in range(2)]
    folds = [fold_file(number, 3, 0.5, state) for number, state in enumerate(weights)]
    config = MsiConfig(
        labels=("MSS", "MSI-H"),
        threshold=0.3,
        encoder=EncoderIdentity(name="tiny", sha256="a" * 64, dimension=6, placeholder=True, remark="seeded"),
        settings_hash="0123456789abcdef",
        tiling={"tile_mpp": 0.5},
        hidden_size=8,
        folds=tuple(entry for entry, _ in folds),
        out_of_fold=OutOfFold(patients=10, positives=4, auroc=0.8, low=0.6, high=0.9),
        training={"epochs": "3"},
        inputs={"cohort": "c" * 64},
        serving_code="0" * 16,
        versions={"torch": "2"},
    )
    folder = tmp_path / "model"
    save_artefact(folder, config, {entry.file: content for entry, content in folds}, Code({"pathology/x.py": b"1\n"}), "x")
    return folder


def test_what_is_saved_is_loaded(saved):
    import torch
    from pathology.tasks.msi.artefact import load_ensemble
    from pathology.tasks.msi.model import GatedAttention

    loaded = load_ensemble(saved)
    torch.manual_seed(0)
    bag = torch.randn(4, 6)
    torch.manual_seed(0)
    expected = [GatedAttention(6, 8).logit(bag) for _ in range(2)]
    assert [model.logit(bag) for model in loaded.models] == expected
    assert (loaded.config.labels, loaded.config.threshold) == (("MSS", "MSI-H"), 0.3)
    assert (saved / "code" / "pathology" / "x.py").read_bytes() == b"1\n"


def test_a_model_of_before_losses_were_kept_is_loaded(saved):
    from pathology.tasks.msi.artefact import load_ensemble

    path = saved / "config.json"
    older = json.loads(path.read_text())
    assert older.pop("training_code") is None and older.pop("curves") == []
    path.write_text(json.dumps(older))
    config = load_ensemble(saved).config
    assert (config.training_code, config.curves) == (None, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 3}, "format version 3 and this code reads 2: use newer code"),
        ({"format_version": 1}, "format version 1 and this code reads 2: train the model again, or use the code"),
        ({"format_version": "x"}, "format_version"),
        ({"threshold": 1.5}, "threshold"),
        ({"surplus": 1}, "surplus: unknown key"),
        ({"hidden_size": 16}, "fold-0.safetensors does not fit its configuration"),
    ],
)
def test_another_configuration_is_refused(saved, change, message):
    from pathology.tasks.msi.artefact import load_ensemble

    path = saved / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message) as caught:
        load_ensemble(saved)
    assert "\n" not in str(caught.value)


def test_damage_is_named(saved):
    from pathology.tasks.msi.artefact import load_ensemble

    path = saved / "fold-1.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"!")
    with pytest.raises(DataError, match=r"fold-1.safetensors is not the one that was trained"):
        load_ensemble(saved)
    path.unlink()
    with pytest.raises(DataError, match=r"lacks fold-1.safetensors"):
        load_ensemble(saved)
    (saved / "config.json").write_text("{")
    with pytest.raises(DataError, match="is not a model configuration"):
        load_ensemble(saved)
    (saved / "config.json").unlink()
    with pytest.raises(DataError, match=r"holds no config.json"):
        load_ensemble(saved)


def test_unpacking_what_was_packed(saved, tmp_path):
    from pathology.tasks.msi.artefact import load_ensemble
    from pathology.unpacking import unpack

    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(saved, ".")
    unpack(tmp_path / "model.tar.gz", tmp_path / "out")
    assert load_ensemble(tmp_path / "out").sha256 == load_ensemble(saved).sha256

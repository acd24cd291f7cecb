"""The artefact: what is saved is loaded, and what is not ours is refused."""

import io
import json
import tarfile

import pytest
import torch
from pathology.contracts.code import Code
from pathology.contracts.errors import DataError
from pathology.models import artefact
from pathology.models.artefact import EncoderIdentity, MsiConfig, OutOfFold, fold_file, load_artefact, save_artefact, unpack
from pathology.models.attention_mil import GatedAttention


@pytest.fixture
def saved(tmp_path):
    """An ensemble of two; its folder."""
    torch.manual_seed(0)
    weights = [GatedAttention(6, 8).state_dict() for _ in range(2)]
    folds = [fold_file(number, 3, 0.5, state) for number, state in enumerate(weights)]
    config = MsiConfig(
        labels=("MSS", "MSI-H"),
        threshold=0.3,
        encoder=EncoderIdentity(name="tiny", sha256="a" * 64, dimension=6, published=False, remark="seeded"),
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
    save_artefact(folder, config, {entry.file: content for entry, content in folds}, Code({"pathology/x.py": b"1\n"}))
    return folder


def test_what_is_saved_is_loaded(saved):
    loaded = load_artefact(saved)
    torch.manual_seed(0)
    bag = torch.randn(4, 6)
    torch.manual_seed(0)
    expected = [GatedAttention(6, 8).probability(bag) for _ in range(2)]
    assert [model.probability(bag) for model in loaded.models] == expected
    assert (loaded.config.labels, loaded.config.threshold) == (("MSS", "MSI-H"), 0.3)
    assert (saved / "code" / "pathology" / "x.py").read_bytes() == b"1\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format version 2 and this code reads 1: use newer code"),
        ({"format_version": "x"}, "format_version"),
        ({"threshold": 1.5}, "threshold"),
        ({"surplus": 1}, "surplus: unknown key"),
        ({"hidden_size": 16}, "fold-0.safetensors does not fit its configuration"),
    ],
)
def test_another_configuration_is_refused(saved, change, message):
    path = saved / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message) as caught:
        load_artefact(saved)
    assert "\n" not in str(caught.value)


def test_damage_is_named(saved):
    path = saved / "fold-1.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"!")
    with pytest.raises(DataError, match=r"fold-1.safetensors is not the one that was trained"):
        load_artefact(saved)
    path.unlink()
    with pytest.raises(DataError, match=r"lacks fold-1.safetensors"):
        load_artefact(saved)
    (saved / "config.json").write_text("{")
    with pytest.raises(DataError, match="no model configuration"):
        load_artefact(saved)
    (saved / "config.json").unlink()
    with pytest.raises(DataError, match=r"holds no config.json"):
        load_artefact(saved)


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"x", link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def pack(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def test_unpacking_what_was_packed(saved, tmp_path):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(saved, ".")
    unpack(tmp_path / "model.tar.gz", tmp_path / "out")
    assert load_artefact(tmp_path / "out").sha256 == load_artefact(saved).sha256


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (member("../outside"), "outside the model's folder"),
        (member("/absolute"), "outside the model's folder"),
        (member("a/../../b"), "outside the model's folder"),
        (member("link", tarfile.SYMTYPE, link="/etc/passwd"), "a link or a device"),
        (member("hard", tarfile.LNKTYPE, link="config.json"), "a link or a device"),
        (member("pipe", tarfile.FIFOTYPE), "a link or a device"),
        (member("zeros", content=bytes(2**26)), "more than a model holds"),
    ],
)
def test_archives_that_attack(tmp_path, made, message):
    path = pack(tmp_path / "model.tar.gz", member("config.json"), made)
    with pytest.raises(DataError, match=message):
        unpack(path, tmp_path / "out")
    assert {item.name for item in tmp_path.iterdir()} <= {"model.tar.gz", "out"}
    assert not (tmp_path / "out" / "zeros").exists()


def test_too_many_files_and_twice_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(artefact, "MAXIMUM_FILES", 3)
    path = pack(tmp_path / "many.tar.gz", *[member(str(number)) for number in range(4)])
    with pytest.raises(DataError, match="more than a model holds"):
        unpack(path, tmp_path / "a")
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(pack(tmp_path / "twice.tar.gz", member("x"), member("x")), tmp_path / "b")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00cut"])
def test_no_archive(tmp_path, content):
    (tmp_path / "model.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"model.tar.gz cannot be unpacked"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")

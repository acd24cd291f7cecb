"""Feature files for STAMP, CLAM and TRIDENT: each layout's names, types, units and attributes, by hand; and nothing replaced."""

import hashlib

import h5py
import numpy as np
import pytest
from pathology.contracts.features import Sidecar
from pathology.export import main, place
from pathology.wsi.features import write_features

HASH = "0123456789abcdef"
FEATURES = np.arange(12, dtype=np.float16).reshape(4, 3)

GIVEN = {
    "encoder": "h-optimus-0",
    "verified": True,
    "remark": "",
    "checkpoint_sha256": "c" * 64,
    "settings_hash": HASH,
    "reader": "openslide",
    "mpp": 0.25,
    "mpp_source": "aperio.MPP",
    "tile_mpp": 0.5,
}
GRID = {
    "name": "s1",
    "patch_size": 224,
    "patch_size_level0": 448,
    "patch_side_level0": 448.0,
    "level0_width": 9000,
    "level0_height": 8000,
    "overlap": 0,
}
"""Of a 40× slide."""
COORDS = np.array([[0, 0], [448, 0], [0, 448], [4480, 7168]])

AT_20X = ({**GIVEN, "mpp": 0.5}, {**GRID, "patch_size_level0": 224, "patch_side_level0": 224.0}, COORDS // 2)
ODD_SIDE = 112 / 0.2525
ODD_COORDS = np.rint(np.array([[0, 0], [1, 0], [2, 7], [18, 10]]) * ODD_SIDE).astype(np.int64)
ODD = ({**GIVEN, "mpp": 0.2525}, {**GRID, "patch_size_level0": 444, "patch_side_level0": ODD_SIDE}, ODD_COORDS)
"""0.2525 µm/px, as Aperio's 40× scanners say: a tile's side is 443.56 px."""


def write(folder, slide_id="s1", attributes=GIVEN, grid=GRID, coords=COORDS, *, sidecar=True):
    path = folder / f"{slide_id}.h5"
    sha256 = write_features(path, FEATURES, coords, np.ones(4, np.float32), {**attributes, "slide_id": slide_id}, grid=grid)
    if sidecar:
        beside(folder, slide_id, "ok", sha256)
    return path


def beside(folder, slide_id, status, sha256=""):
    one = Sidecar(slide_id=slide_id, status=status, settings_hash=HASH, slide_uri="s3://b/s", bytes=1, sha256=sha256)
    (folder / f"{slide_id}.json").write_bytes(one.to_json())


@pytest.fixture
def folder(tmp_path):
    given = tmp_path / "features"
    given.mkdir()
    return given


def export(source, to, output):
    return main([str(source), "--to", to, "--output", str(output)])


def attributes(holder):
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in holder.attrs.items()}


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("given", "microns"),
    [
        ((GIVEN, GRID, COORDS), [[0, 0], [112, 0], [0, 112], [1120, 1792]]),
        (AT_20X, [[0, 0], [112, 0], [0, 112], [1120, 1792]]),
        (ODD, [[0, 0], [112, 0], [224, 784], [2016, 1120]]),
    ],
    ids=["40x", "20x", "0.2525"],
)
def test_stamp_has_microns_with_their_unit_and_the_side_of_a_tile(folder, tmp_path, given, microns):
    assert export(write(folder, "s1", *given), "stamp", tmp_path / "out") == 0
    with h5py.File(tmp_path / "out" / "s1.h5") as file:
        assert set(file) == {"feats", "coords"}
        assert file["feats"].dtype == np.float16 and np.array_equal(file["feats"][:], FEATURES)
        assert file["coords"].dtype == np.float32 and file["coords"][:].tolist() == microns
        own = attributes(file)
    assert {key: value for key, value in own.items() if not key.startswith("pathology_")} == {
        "extractor": "h-optimus-0",
        "unit": "um",
        "tile_size_um": 112.0,
        "tile_size_px": 224,
        "feat_type": "tile",
    }
    assert own["pathology_mpp"] == given[0]["mpp"] and own["pathology_checkpoint_sha256"] == "c" * 64


def test_clam_has_level_0_px_the_attributes_of_its_patches_and_a_tensor(folder, tmp_path):
    import torch

    assert export(write(folder), "clam", tmp_path / "out") == 0
    with h5py.File(tmp_path / "out" / "h5_files" / "s1.h5") as file:
        assert set(file) == {"features", "coords"}
        assert file["features"].dtype == np.float32 and np.array_equal(file["features"][:], FEATURES)
        assert file["coords"].dtype == np.int32 and np.array_equal(file["coords"][:], COORDS)
        patches = attributes(file["coords"])
    sizes = {name: patches.pop(name).tolist() for name in ("downsample", "level_dim", "downsampled_level_dim")}
    assert patches == {"patch_size": 448, "patch_level": 0, "name": "s1"}
    assert sizes == {"downsample": [1.0, 1.0], "level_dim": [9000, 8000], "downsampled_level_dim": [9000, 8000]}
    tensor = torch.load(tmp_path / "out" / "pt_files" / "s1.pt", weights_only=True)
    assert tensor.dtype == torch.float32 and np.array_equal(tensor.numpy(), FEATURES)


@pytest.mark.parametrize(
    ("given", "magnification", "side"),
    [((GIVEN, GRID, COORDS), 40, 448), (AT_20X, 20, 224), (ODD, 10 / 0.2525, 444)],
    ids=["40x", "20x", "0.2525"],
)
def test_trident_has_magnifications_that_give_the_side_that_was_read(folder, tmp_path, given, magnification, side):
    assert export(write(folder, "s1", *given), "trident", tmp_path / "out") == 0
    room = tmp_path / "out" / "20x_224px_0px_overlap"
    expected = {
        "patch_size": 224,
        "patch_size_level0": side,
        "level0_magnification": magnification,
        "target_magnification": 20,
        "overlap": 0,
        "name": "s1",
        "savetodir": "",
        "level0_width": 9000,
        "level0_height": 8000,
    }
    with h5py.File(room / "features_h-optimus-0" / "s1.h5") as file:
        assert file["features"].dtype == np.float32 and np.array_equal(file["features"][:], FEATURES)
        assert file["coords"].dtype == np.int64 and np.array_equal(file["coords"][:], given[2])
        own = attributes(file["coords"])
        assert own == expected
        assert attributes(file["features"]) == {"name": "s1", "savetodir": "", "encoder": "h-optimus-0"}
    with h5py.File(room / "patches" / "s1_patches.h5") as file:
        assert set(file) == {"coords"} and np.array_equal(file["coords"][:], given[2])
        assert attributes(file["coords"]) == expected
    assert round(own["patch_size"] * own["level0_magnification"] / own["target_magnification"]) == side


@pytest.mark.parametrize("to", ["stamp", "clam", "trident"])
def test_a_folder_is_exported_whole_and_again_with_the_same_bytes(folder, tmp_path, capsys, to):
    write(folder, "s1"), write(folder, "s2")
    beside(folder, "s3", "empty"), beside(folder, "s4", "failed")
    assert export(folder, to, tmp_path / "out") == 0
    first = files(tmp_path / "out")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "4 tiles, written" in lines[0]
    assert lines[-1].startswith(f"2 exported for {to}, 0 refused, 1 empty without features, 1 failed without features; in ")
    assert export(folder, to, tmp_path / "out") == 0
    assert files(tmp_path / "out") == first
    assert capsys.readouterr().out.count("there already, the same") == 2
    assert export(folder, to, tmp_path / "other") == 0
    assert files(tmp_path / "other") == first


@pytest.mark.parametrize("to", ["stamp", "clam", "trident"])
def test_what_is_there_with_other_content_is_never_replaced(folder, tmp_path, capsys, to):
    write(folder)
    export(folder, to, tmp_path / "first")
    for name in files(tmp_path / "first"):
        output = tmp_path / "out" / hashlib.sha256(name.encode()).hexdigest()[:8]
        (output / name).parent.mkdir(parents=True)
        (output / name).write_bytes(b"somebody's")
        assert export(folder, to, output) == 1
        assert files(output) == {name: b"somebody's"}, "none of the slide's other files is written either"
        assert "is there with other content" in capsys.readouterr().err


def test_a_file_that_another_put_there_meanwhile_stays(tmp_path):
    (tmp_path / "a").write_bytes(b"theirs")
    with pytest.raises(Exception, match="other content"):
        place(tmp_path / "a", b"ours")
    assert files(tmp_path) == {"a": b"theirs"}


def test_a_wrong_or_old_file_is_refused_in_a_line_and_the_others_are_exported(folder, tmp_path, capsys):
    write(folder, "s1")
    write(folder, "changed").write_bytes(write(folder, "s2").read_bytes())
    (folder / "junk.h5").write_bytes(b"not HDF5")
    write(folder, "old", {key: value for key, value in GIVEN.items() if key != "tile_mpp"})
    write(folder, "off", coords=COORDS + np.array([[0, 0], [30, 0], [0, 0], [0, 0]]))
    write(folder, "scale", {**GIVEN, "mpp": 0.3})
    write(folder, "tables", {**GIVEN, "settings_hash": "f" * 16})
    beside(folder, "zfailed", "failed")
    (folder / "zfailed.h5").write_bytes((folder / "s1.h5").read_bytes())
    assert export(folder, "stamp", tmp_path / "out") == 1
    out, err = capsys.readouterr()
    refused = err.splitlines()
    assert sorted(files(tmp_path / "out")) == ["s1.h5", "s2.h5"]
    for line, (name, reason) in zip(
        refused,
        [
            ("changed", "its sha256 is another"),
            ("junk", "cannot be read as HDF5"),
            ("off", "lie on no grid of 112 µm"),
            ("old", "has no tile_mpp"),
            ("scale", "is not 224 px at 0.5"),
            ("tables", "has settings hash ffffffffffffffff"),
            ("zfailed", "its sidecar is of slide zfailed, failed"),
        ],
        strict=True,
    ):
        assert line.startswith("refused: ") and name in line and reason in line
    assert "2 exported for stamp, 7 refused" in out


def test_a_file_without_its_sidecar_says_so(folder, tmp_path, capsys):
    assert export(write(folder, sidecar=False), "stamp", tmp_path / "out") == 0
    assert "no sidecar beside it: its hash was not checked" in capsys.readouterr().out


def test_the_root_of_several_settings_is_refused_with_their_names(folder, tmp_path, capsys):
    (folder / HASH).mkdir()
    write(folder / HASH)
    assert export(folder, "clam", tmp_path / "out") == 2
    assert HASH in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert export(folder / "none", "clam", tmp_path / "out") == 2
    assert "there is no such file or folder" in capsys.readouterr().err

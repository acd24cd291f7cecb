"""The feature file: the same bytes from the same content, and nothing believed that could mislead."""

import hashlib

import h5py
import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.wsi.features import colour_attributes, colours_in, read_features, write_features

ROWS, WIDTH = 20, 8


def arrays(seed=0):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(ROWS, WIDTH)).astype(np.float16)
    return features, generator.integers(0, 10**6, (ROWS, 2)), generator.random(ROWS, np.float32)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "s1.h5"
    digest = write_features(path, *arrays(), {"encoder": "e", "published": False, "mpp": 0.5}, grid={"name": "s1"})
    return path, digest


def test_what_is_written_is_read(written):
    path, digest = written
    read = read_features(path, "s1", digest)
    features, coords, fraction = arrays()
    assert read.features.dtype == np.float16 and np.array_equal(read.features, features)
    assert read.coords.dtype == np.int64 and np.array_equal(read.coords, coords)
    assert read.tissue_fraction.dtype == np.float32 and np.array_equal(read.tissue_fraction, fraction)
    assert read.attributes == {"schema_version": 1, "encoder": "e", "published": False, "mpp": 0.5}
    assert read.grid == {"name": "s1"}
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_content_gives_the_same_bytes(tmp_path, written):
    again = tmp_path / "other" / "s2.h5"
    write_features(again, *arrays(), {"mpp": 0.5, "published": False, "encoder": "e"}, grid={"name": "s1"})
    assert again.read_bytes() == written[0].read_bytes()


def test_arrays_are_contiguous_where_other_tools_look_for_them(written):
    with h5py.File(written[0], "r") as file:
        assert [file[name].chunks for name in ("features", "coords", "tissue_fraction")] == [None] * 3
        assert file["coords"].attrs["name"] == "s1"


def test_the_missing_and_the_changed_name_the_slide_and_the_remedy(tmp_path, written):
    with pytest.raises(DataError, match=r"slide s9: .* is gone; .*ExtractionRun"):
        read_features(tmp_path / "s9.h5", "s9")
    path, digest = written
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"slide s1: .* changed .*ExtractionRun"):
        read_features(path, "s1", digest)


def test_a_refused_write_leaves_what_was_there_and_nothing_beside(tmp_path, written):
    path, digest = written
    features, coords, fraction = arrays()
    features[3, 3] = np.inf
    with pytest.raises(DataError, match="not finite"):
        write_features(path, features, coords, fraction)
    with pytest.raises(DataError, match=r"coords \(N, 2\)"):
        write_features(path, arrays()[0], coords[:-1], fraction)
    assert read_features(path, "s1", digest)
    assert [entry.name for entry in tmp_path.iterdir()] == ["s1.h5"]


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99])
def test_a_part_of_a_file_is_refused(written, fraction):
    path, _ = written
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(DataError, match="slide s1: "):
        read_features(path, "s1")


def _soft(file, path):
    file["elsewhere"] = file["features"]
    del file["features"]
    file["features"] = h5py.SoftLink("/elsewhere")


def _outside(file, path):
    del file["features"]
    file["features"] = h5py.ExternalLink(str(path.with_name("other.h5")), "features")


def _external(file, path):
    del file["features"]
    path.with_suffix(".raw").write_bytes(bytes(ROWS * WIDTH * 2))
    file.create_dataset("features", (ROWS, WIDTH), "f2", external=[(str(path.with_suffix(".raw")), 0, ROWS * WIDTH * 2)])


def _virtual(file, path):
    layout = h5py.VirtualLayout((ROWS, WIDTH), "f2")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "features", (ROWS, WIDTH))
    del file["features"]
    file.create_virtual_dataset("features", layout)


def _replace(**how):
    def change(file, path):
        del file["features"]
        file.create_dataset("features", **how)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_soft, "but a link"),
        (_outside, "but a link"),
        (_external, "not stored contiguously"),
        (_virtual, "not stored contiguously"),
        (_replace(data=np.zeros((ROWS, WIDTH), np.float16), chunks=(1, WIDTH)), "not stored contiguously"),
        (_replace(data=np.zeros((ROWS, WIDTH), np.float32)), "float32"),
        (_replace(data=np.zeros(ROWS, np.float16)), "1 dimensions"),
        (_replace(shape=(10**9, 1536), dtype="f2"), "does not hold"),
        (_replace(data=np.zeros((ROWS + 1, WIDTH), np.float16)), r"coords \(N, 2\)"),
        (lambda file, path: file.pop("coords"), "no dataset 'coords'"),
        (lambda file, path: file.attrs.__setitem__("schema_version", 2), "schema version 2"),
        (lambda file, path: file.attrs.__setitem__("mpp", np.zeros(3)), "attribute 'mpp'"),
    ],
)
def test_what_could_mislead_is_refused_before_it_is_read(written, change, words):
    path, _ = written
    with h5py.File(path, "r+") as file:
        change(file, path)
    with pytest.raises(DataError, match=f"slide s1: .*{words}"):
        read_features(path, "s1")


def test_colours_are_read_where_there_are_any(tmp_path, written):
    numbers = (200.5, 0.0, 255.0, 1.0, 2.0, 3.0)
    assert colours_in(read_features(written[0], "s1"), "s1") is None
    write_features(tmp_path / "c.h5", *arrays(), colour_attributes(numbers))
    assert colours_in(read_features(tmp_path / "c.h5", "c"), "c") == numbers


@pytest.mark.parametrize("change", [{"colour_sd_red": "1"}, {"colour_mean_red": float("nan")}, {"colour_sd_blue": 256.0}, None])
def test_colours_that_are_none_are_refused(tmp_path, change):
    attributes = colour_attributes((200.0, 0.0, 255.0, 1.0, 2.0, 3.0)) | (change or {})
    if change is None:
        del attributes["colour_mean_green"]
    write_features(tmp_path / "c.h5", *arrays(), attributes)
    with pytest.raises(DataError, match="slide c: the colours in its feature file are not six numbers"):
        colours_in(read_features(tmp_path / "c.h5", "c"), "c")

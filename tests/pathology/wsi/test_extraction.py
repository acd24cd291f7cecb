"""From a slide's file to its feature file, with damage counted and never embedded."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from colour_encoder import ColourEncoder
from made_slides import write_tiff
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import extract_slide
from pathology.wsi.features import colours_in, read_features


@pytest.fixture
def encoder():
    return ColourEncoder()


class Recording(ColourEncoder):
    """An encoder that keeps what it is shown."""

    def __init__(self):
        super().__init__()
        self.shown = []

    def embed(self, tiles):
        self.shown.extend(tiles.copy())
        return super().embed(tiles)


def test_a_slides_colours_are_those_of_its_tiles(svs, tmp_path):
    """By two passes over every 4th row and column of what the encoder was shown."""
    encoder = Recording()
    extracted = extract_slide(svs, "s", tmp_path / "s.h5", Tiling(), encoder)
    pixels = np.stack(encoder.shown)[:, ::4, ::4].reshape(-1, 3).astype(np.float64)
    found = colours_in(read_features(tmp_path / "s.h5", "s", extracted.sha256), "s")
    np.testing.assert_allclose(found, [*pixels.mean(axis=0), *pixels.std(axis=0)], rtol=1e-9)
    assert found == extracted.colours


def test_features_carry_their_provenance(svs, tmp_path, encoder):
    target = tmp_path / "s.h5"
    extracted = extract_slide(svs, "s", target, Tiling(), encoder)
    read = read_features(target, "s", extracted.sha256)
    assert len(read.features) == extracted.tiles > 10 and extracted.failed_tiles == 0
    assert read.features.shape[1] == encoder.manifest.dimension
    attributes = read.attributes
    assert (attributes["encoder"], attributes["verified"]) == ("colours", False)
    assert attributes["encoder_origin"] == "placeholder with seeded weights"
    assert (attributes["remark"], attributes["arithmetic"]) == (encoder.manifest.remark, encoder.arithmetic)
    assert attributes["checkpoint_sha256"] == encoder.manifest.sha256
    assert attributes["settings_hash"] == Tiling().hash(encoder.manifest.name, encoder.manifest.sha256)
    assert (attributes["mpp"], attributes["mpp_source"], attributes["tiles_failed"]) == (0.5, "vendor", 0)
    assert (read.grid["patch_size"], read.grid["patch_size_level0"], read.grid["overlap"]) == (224, 224, 0)
    assert read.grid["name"] == "s"


def test_twice_gives_the_same_bytes_whatever_the_batch(svs, tmp_path, encoder):
    hashes = [extract_slide(svs, "s", tmp_path / f"{n}.h5", Tiling(), encoder, batch_size=n).sha256 for n in (64, 64, 7)]
    assert len(set(hashes)) == 1


def test_a_slide_under_another_name_has_another_file_and_the_same_content(svs, tmp_path, encoder):
    one, two, other = (
        extract_slide(svs, name, tmp_path / f"{name}.h5", tiling, encoder)
        for name, tiling in (("one", Tiling()), ("two", Tiling()), ("other", Tiling(max_tiles=5)))
    )
    assert one.sha256 != two.sha256 and one.content_sha256 == two.content_sha256 != other.content_sha256
    read = read_features(tmp_path / "one.h5", "one")
    assert one.content_sha256 == hashlib.sha256(read.features.tobytes() + read.coords.tobytes()).hexdigest()


def test_a_damaged_tile_is_counted_and_never_embedded(garbled, tmp_path):
    path, (x, y) = garbled
    recording = Recording()
    extracted = extract_slide(path, "s", tmp_path / "s.h5", Tiling(), recording)
    assert 1 <= extracted.failed_tiles <= 4
    read = read_features(tmp_path / "s.h5", "s", extracted.sha256)
    assert len(recording.shown) == len(read.coords) == extracted.tiles
    assert all(tile.min(axis=2).max() > 60 for tile in recording.shown)
    touched = (np.abs(read.coords - (x, y) + (224 - 240) // 2) < (224 + 240) / 2 - 8).all(axis=1)
    assert not touched.any()
    assert read.attributes["tiles_failed"] == extracted.failed_tiles


def test_a_corrected_scale_changes_the_grid(svs, tmp_path, encoder):
    extracted = extract_slide(svs, "s", tmp_path / "s.h5", Tiling(), encoder, cohort_mpp=0.25)
    assert (extracted.scale.mpp, extracted.scale.source) == (0.25, "cohort")
    assert read_features(tmp_path / "s.h5", "s").grid["patch_size_level0"] == 448


def test_glass_alone_is_empty_and_writes_nothing(tmp_path, encoder):
    path = tmp_path / "glass.tif"
    write_tiff(path, np.full((1000, 1000, 3), 243, np.uint8), resolution=(20000, 20000), resolutionunit="CENTIMETER")
    extracted = extract_slide(path, "s", tmp_path / "s.h5", Tiling(), encoder)
    assert (extracted.tiles, extracted.sha256) == (0, "") and "at least 50% of tissue" in extracted.reason
    assert not (tmp_path / "s.h5").exists()


def test_black_where_tissue_should_be_is_never_a_feature(tmp_path, painted):
    pixels = painted.copy()
    pixels[448:1120, 448:1120] = 0
    path = tmp_path / "black.tif"
    write_tiff(path, pixels, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    recording = Recording()
    extracted = extract_slide(path, "s", tmp_path / "s.h5", Tiling(min_tissue=0), recording)
    assert extracted.tiles > 0
    assert all(tile.any() for tile in recording.shown)


def test_a_slide_without_scale_says_what_to_add(tmp_path, encoder, positions):
    path = tmp_path / "plain.tif"
    write_tiff(path, positions)
    with pytest.raises(DataError, match="column 'mpp'"):
        extract_slide(path, "s", tmp_path / "s.h5", Tiling(), encoder)
    extracted = extract_slide(path, "s", tmp_path / "s.h5", Tiling(default_mpp=0.5, min_tissue=0), encoder)
    assert extracted.scale.source == "default"


def test_a_real_slide(shared_data, tmp_path, encoder):
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    extracted = extract_slide(path, "cmu", tmp_path / "cmu.h5", Tiling(), encoder)
    assert (extracted.tiles, extracted.failed_tiles, extracted.scale.mpp) == (47, 0, 0.499)


def test_a_slide_leaves_an_outline_and_a_picture_also_when_it_is_empty(svs, tmp_path, encoder):
    extracted = extract_slide(svs, "s", tmp_path / "s.h5", Tiling(max_tiles=5), encoder)
    pieces = json.loads(extracted.outline)["features"]
    assert pieces and {piece["properties"]["classification"]["name"] for piece in pieces} == {"Tissue"}
    corners = np.concatenate([np.array(ring) for piece in pieces for ring in piece["geometry"]["coordinates"]])
    assert (corners >= 0).all() and corners.max() > 800, "in level-0 px"
    picture = cv2.imdecode(np.frombuffer(extracted.overlay, np.uint8), cv2.IMREAD_COLOR)
    assert max(picture.shape) >= 800
    path = tmp_path / "glass.tif"
    write_tiff(path, np.full((1000, 1000, 3), 243, np.uint8), resolution=(20000, 20000), resolutionunit="CENTIMETER")
    empty = extract_slide(path, "s", tmp_path / "e.h5", Tiling(), encoder)
    assert json.loads(empty.outline)["features"] == [] and empty.overlay[:2] == b"\xff\xd8"

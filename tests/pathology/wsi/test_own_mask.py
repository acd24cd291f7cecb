"""A person's own mask: QuPath's GeoJSON and pictures of labels, where they lie on the slide, and what is refused."""

import io
import json

import cv2
import h5py
import numpy as np
import pytest
from colour_encoder import ColourEncoder
from made_slides import write_tiff
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import extract_slide, plan_slide
from pathology.wsi.outline import tissue_geojson
from pathology.wsi.own_mask import read_own_mask
from PIL import Image

SHAPE, DOWNSAMPLE, SIZE = (100, 150), 8.0, (1200, 800)


def square(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(*rings, kind="Polygon", name=None):
    coordinates = list(rings) if kind == "Polygon" else [list(part) for part in rings]
    properties = {"objectType": "annotation"} | ({"classification": {"name": name, "color": [0, 150, 60]}} if name else {})
    return {"type": "Feature", "id": "x", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def collection(*features):
    return json.dumps({"type": "FeatureCollection", "features": list(features)}).encode()


def read(content, origin=(0, 0)):
    return read_own_mask(content, SHAPE, DOWNSAMPLE, SIZE, origin)


def boxes(*given):
    """(left, top, right, bottom) in level-0 px as a mask."""
    mask = np.zeros(SHAPE, bool)
    for left, top, right, bottom in given:
        mask[round(top / 8) : round(bottom / 8), round(left / 8) : round(right / 8)] = True
    return mask


BIG, HOLE, OTHER = (80, 80, 720, 640), (240, 240, 480, 400), (880, 80, 1120, 320)
WANTED = boxes(BIG, OTHER) & ~boxes(HOLE)


@pytest.mark.parametrize(
    "content",
    [
        collection(feature(square(*BIG), square(*HOLE), name="Tissue"), feature(square(*OTHER))),
        collection(feature([square(*BIG), square(*HOLE)], [square(*OTHER)], kind="MultiPolygon")),
        json.dumps([feature(square(*BIG), square(*HOLE)), feature(square(*OTHER))]).encode(),
        json.dumps({
            "type": "GeometryCollection",
            "geometries": [{"type": "MultiPolygon", "coordinates": [[square(*BIG), square(*HOLE)], [square(*OTHER)]]}],
        }).encode(),
        b"\xef\xbb\xbf" + collection(feature(square(*BIG)), feature(square(*OTHER)), feature(square(*HOLE), name="Ignore*")),
    ],
    ids=["collection", "multi", "list", "geometries", "ignored"],
)  # fmt: skip
def test_every_form_that_qupath_writes_gives_the_same_mask(content):
    np.testing.assert_array_equal(read(content).mask, WANTED)


def test_polygons_lie_where_the_scanned_part_begins_and_it_is_said():
    moved = [[[x - 400, y - 160] for x, y in square(*BIG)]]
    own = read(collection(feature(*moved)), (400, 160))
    np.testing.assert_array_equal(own.mask, boxes(BIG))
    assert any("400, 160" in remark for remark in own.remarks)
    assert not read(collection(feature(square(*BIG)))).remarks


def test_what_has_no_area_is_not_used_and_said():
    line = {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[0, 0], [5, 5]]}, "properties": {}}
    own = read(collection(feature(square(*BIG)), line))
    np.testing.assert_array_equal(own.mask, boxes(BIG))
    assert own.remarks == ("1 points or lines of its mask have no area and are not used",)
    nothing = read(collection())
    assert not nothing.mask.any() and nothing.remarks == ("its mask has no polygon of tissue",)


def test_our_own_outline_comes_back_as_the_mask_that_it_is_of():
    blobs = cv2.GaussianBlur(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32), (0, 0), 6) > 0
    back = read(tissue_geojson(blobs, DOWNSAMPLE, "s")).mask
    assert (back & blobs).sum() / (back | blobs).sum() > 0.98


def picture(array, mode=None, kind="PNG"):
    stream = io.BytesIO()
    image = Image.fromarray(array)
    if mode == "P":
        image.putpalette([255, 255, 255, 0, 0, 0] * 128)  # 0 is white: labels count, not their colours
    image.save(stream, kind)
    return stream.getvalue()


LABELS = WANTED.astype(np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        picture(LABELS),
        picture(LABELS, "P"),
        picture(LABELS.astype(np.uint16) * 700),
        picture(np.dstack([LABELS * 0, LABELS * 9, LABELS * 0])),
        picture(np.kron(LABELS, np.ones((4, 4), np.uint8)), kind="TIFF"),
        picture(LABELS > 0),
    ],
    ids=["labels", "palette", "16 bits", "colours", "finer", "1 bit"],
)
def test_a_picture_of_labels_covers_the_slide_whatever_its_size(content):
    np.testing.assert_array_equal(read(content).mask, WANTED)


def test_a_coarser_picture_is_taken_too():
    np.testing.assert_array_equal(read(picture(LABELS[::10, ::10])).mask, np.kron(LABELS[::10, ::10], np.ones((10, 10))) > 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a mask", "neither GeoJSON nor a picture"),
        (b"", "neither GeoJSON nor a picture"),
        (b'{"type": "FeatureCollection", "feat', "not GeoJSON"),
        (b'{"tissue": 1}', "JSON and not GeoJSON"),
        (b"[" * 100_000, "not GeoJSON"),
        (collection(feature(square(5000, 5000, 6000, 6000))), "beside the slide of 1200 × 800 px"),
        (collection(feature([[0, 0], [1, 1]])), "fewer than 3 points"),
        (collection(feature([["a", 0], [1, 1], [1, 2]])), "not lists of x and y"),
        (collection(feature([[0, 0], [1e30, 1], [1, 2]])), "no px"),
        (collection({"type": "Feature", "geometry": {"type": "Circle", "coordinates": []}}), "'Circle'"),
        (picture(LABELS[:, :100]), "another shape than the slide's 1200 × 800"),
        (picture(LABELS)[:60], "neither GeoJSON nor a picture"),
        (picture(LABELS, kind="JPEG"), "neither GeoJSON nor a picture"),
    ],
)
def test_what_is_no_mask_of_this_slide_is_refused_in_a_line(content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_tiles_lie_on_the_own_mask_and_the_files_say_so(svs, tmp_path):
    mask = collection(feature(square(448, 448, 1120, 896)))
    extracted = extract_slide(svs, "s", tmp_path / "s.h5", Tiling(), ColourEncoder(), own_mask=mask)
    with h5py.File(tmp_path / "s.h5") as file:
        coords = file["coords"][:]
        assert file.attrs["tissue"] == "own mask" and file["ink_fraction"].shape == (len(coords),)
    assert coords.tolist() == [[x, y] for y in (448, 672) for x in (448, 672, 896)]
    assert extracted.tissue == "own mask" and 0.05 < extracted.tissue_fraction < 0.5
    assert extract_slide(svs, "s", tmp_path / "t.h5", Tiling(), ColourEncoder()).tissue == "found"


def test_a_slide_that_is_nearly_all_tissue_is_warned_of(tmp_path):
    noise = cv2.GaussianBlur(np.random.default_rng(1).normal(size=(1000, 1000, 3)), (0, 0), 12)
    pixels = np.clip(np.array([205, 130, 180]) + noise / noise.std() * 14, 0, 255).astype(np.uint8)
    write_tiff(tmp_path / "full.tif", pixels, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    plan = plan_slide(tmp_path / "full.tif", Tiling())
    plan.slide.close()
    assert plan.tissue_fraction > 0.95 and "no bare glass" in plan.warnings[0] and "look at its picture" in plan.warnings[1]
    pixels[:, :300] = 243
    write_tiff(tmp_path / "part.tif", pixels, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    plan = plan_slide(tmp_path / "part.tif", Tiling())
    plan.slide.close()
    assert not plan.warnings

"""The outline is the mask, to the px and in level-0 coordinates, and the picture shows it and the tiles."""

import json
import uuid

import cv2
import numpy as np
import pytest
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.grid import make_grid
from pathology.wsi.outline import LEFT_OUT, TILES, TISSUE, outline, overlay, signed_area, tissue_geojson
from pathology.wsi.reader import Level
from pathology.wsi.readers import open_slide
from pathology.wsi.thumbnail import Thumbnail, read_thumbnail
from pathology.wsi.tissue import THUMBNAIL_MICRONS, tissue_mask


def mask_of(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def ragged(seed=0):
    """Smooth blobs with holes, some cut by the border."""
    noise = np.random.default_rng(seed).normal(size=(160, 200)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 5) > 0.02


def rasterise(collection, shape, downsample, fine=8):
    """The polygons drawn again, ``fine`` px to one of the mask, and read at the px' centres."""
    canvas = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    for feature in collection["features"]:
        rings = [np.rint(np.array(ring) / downsample * fine).astype(np.int32) for ring in feature["geometry"]["coordinates"]]
        cv2.fillPoly(canvas, [rings[0]], 1)
        for hole in rings[1:]:
            cv2.fillPoly(canvas, [hole], 0)
    return canvas[fine // 2 :: fine, fine // 2 :: fine] > 0


def area(polygon):
    return sum(signed_area(ring) for ring in (polygon.exterior, *polygon.holes))


class Slide:
    """Only what the grid asks of a slide."""

    def __init__(self, side):
        self.levels = (Level(side, side, 1.0),)


def picture(tissue, tiling, *, max_side=2000, unknown=None, sampled=True):
    """The overlay of grey px under ``tissue``, one px of it 8 of a square slide's: (H, W, 3) in red, green, blue."""
    slide, none = Slide(8 * len(tissue)), np.zeros(tissue.shape, bool)
    grid, full = (make_grid(slide, 0.5, tissue, 8.0, t) for t in (tiling, tiling.model_copy(update={"max_tiles": 0})))
    thumbnail = Thumbnail(np.full((*tissue.shape, 3), 230, np.uint8), none if unknown is None else unknown, 8.0)
    content = overlay(thumbnail, tissue, grid, 0.5, before_sampling=full if sampled else None, max_side=max_side)
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB), grid, full


def near(pixels, colour, within=60):
    return np.abs(pixels.astype(int) - colour).max(axis=-1) < within


@pytest.mark.parametrize("seed", range(3))
def test_polygons_give_the_mask_back(seed):
    mask = ragged(seed)
    again = rasterise(json.loads(tissue_geojson(mask, 8.5, "s")), mask.shape, 8.5)
    assert (again & mask).sum() / (again | mask).sum() > 0.999
    polygons = outline(mask)
    pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1
    glass = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    holes = cv2.connectedComponents(glass, connectivity=4)[0] - 2
    assert (len(polygons), sum(len(polygon.holes) for polygon in polygons)) == (pieces, holes)
    assert sum(map(area, polygons)) == mask.sum() - pieces / 2 + holes / 2


def test_coordinates_are_edges_of_px_in_level_0():
    mask = np.zeros((20, 30), bool)
    mask[5:12, 8:25] = True
    (feature,) = json.loads(tissue_geojson(mask, 7.4, "s"))["features"]
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert np.allclose(ring.min(axis=0), [8 * 7.4, 5 * 7.4], atol=0.01)
    assert np.allclose(ring.max(axis=0), [25 * 7.4, 12 * 7.4], atol=0.01)


def test_one_px_has_an_area_and_a_mask_that_fills_the_picture_stays_inside():
    (polygon,) = outline(mask_of("...", ".#.", "..."))
    assert area(polygon) == 0.5 and polygon.exterior.min() == 1 and polygon.exterior.max() == 2
    (polygon,) = outline(np.ones((4, 6), bool))
    assert area(polygon) == 23.5
    assert (polygon.exterior.min(axis=0).tolist(), polygon.exterior.max(axis=0).tolist()) == ([0, 0], [6, 4])


def test_px_that_touch_at_a_corner_are_one_piece_whose_ring_does_not_touch_itself():
    mask = mask_of("##..", "##..", "..##", "..##")
    (polygon,) = outline(mask)
    points = polygon.exterior[:-1]
    assert len({tuple(point) for point in points}) == len(points)
    holes = mask_of("#####", "#.#.#", "##.##", "#####")
    (polygon,) = outline(holes)
    assert len(polygon.holes) == 3


def test_rings_are_closed_and_turn_as_rfc_7946_says():
    for feature in json.loads(tissue_geojson(ragged(), 8.0, "s"))["features"]:
        first, *rest = (np.array(ring) for ring in feature["geometry"]["coordinates"])
        assert all((ring[0] == ring[-1]).all() and len(ring) >= 4 for ring in (first, *rest))
        assert signed_area(first) > 0 and all(signed_area(ring) < 0 for ring in rest)


def test_qupath_finds_what_it_reads():
    content = tissue_geojson(ragged(), 8.0, "s")
    collection = json.loads(content)
    assert collection["type"] == "FeatureCollection"
    for feature in collection["features"]:
        assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "Polygon")
        assert feature["properties"]["objectType"] == "annotation"
        assert feature["properties"]["classification"] == {"name": "Tissue", "color": list(TISSUE)}
        assert str(uuid.UUID(feature["id"])) == feature["id"]
    identities = [feature["id"] for feature in collection["features"]]
    assert len(set(identities)) == len(identities) > 3
    assert tissue_geojson(ragged(), 8.0, "s") == content
    other = json.loads(tissue_geojson(ragged(), 8.0, "t"))
    assert not {feature["id"] for feature in other["features"]} & set(identities)


def test_glass_alone_has_no_outline():
    assert json.loads(tissue_geojson(np.zeros((9, 9), bool), 8.0, "s")) == {"type": "FeatureCollection", "features": []}


def test_the_picture_shows_outline_and_tiles():
    tissue = np.zeros((500, 500), bool)
    tissue[100:400, 100:400] = True
    shown, grid, _ = picture(tissue, Tiling())
    assert shown.shape[:2] == (800 + 44, 800)  # enlarged by 1.6, and the strip
    for edge in (100, 400):
        assert near(shown[400, round(edge * 1.6) - 2 : round(edge * 1.6) + 3], TISSUE).any()
    x, y = (grid.coords[len(grid) // 2] / 8 * 1.6).round().astype(int)
    assert near(shown[y - 1 : y + 2, x + 15], TILES, 90).any()
    assert near(shown[y + 20, x + 20], (230, 230, 230), 8)


def test_sampled_tiles_stand_out_from_those_left_out():
    tissue = np.ones((500, 500), bool)
    shown, grid, full = picture(tissue, Tiling(max_tiles=50))
    assert len(grid) == 50 < len(full)
    chosen = {tuple(corner) for corner in grid.coords.tolist()}
    side = int(grid.side_level0)
    for corner in full.coords.tolist():
        x, y = ((np.array(corner) + side // 2) / 8 * 1.6).round().astype(int)
        red, _, blue = shown[y, x].astype(int)
        assert (blue - red > 10) == (tuple(corner) in chosen)
    unsampled = next(corner for corner in full.coords.tolist() if tuple(corner) not in chosen and corner[1] > side)
    x, y = (np.array(unsampled) / 8 * 1.6).round().astype(int)
    column = shown[y - 1 : y + 2, x + 20]
    assert near(column, LEFT_OUT, 60).any() or near(column, TILES, 90).any()


@pytest.mark.parametrize("side", [1500, 3000])
def test_the_picture_is_bounded_and_the_same_every_time(side):
    tissue = np.zeros((side, side), bool)
    tissue[200:800, 200:1200] = True
    first, again = (picture(tissue, Tiling(), max_side=1000)[0] for _ in range(2))
    assert first.shape[:2] == (1044, 1000) and np.array_equal(first, again)


def test_tiles_too_small_for_a_frame_are_tinted():
    shown, grid, _ = picture(np.ones((800, 800), bool), Tiling(tile_size=32), max_side=200, sampled=False)
    assert grid.side_level0 / 8 / 4 < 2 and len(grid) > 1000
    red, _, blue = shown[40:160, 40:160].reshape(-1, 3).mean(axis=0)
    assert 10 < blue - red < 60


def test_what_could_not_be_read_is_hatched():
    tissue, unknown = np.zeros((400, 400), bool), np.zeros((400, 400), bool)
    unknown[100:200, 100:200] = True
    shown, *_ = picture(tissue, Tiling(), unknown=unknown)
    assert 0.2 < (shown[220:380, 220:380].max(axis=2) < 140).mean() < 0.5
    assert (shown[500:700, 500:700] > 200).all()


def test_a_real_slide(shared_data):
    slide = open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs")
    thumbnail = read_thumbnail(slide, THUMBNAIL_MICRONS / 0.499)
    mask = tissue_mask(thumbnail.pixels, thumbnail.downsample * 0.499)
    collection = json.loads(tissue_geojson(mask, thumbnail.downsample, "cmu"))
    again = rasterise(collection, mask.shape, thumbnail.downsample)
    assert (again & mask).sum() / (again | mask).sum() > 0.99
    assert max(point[1] for feature in collection["features"] for point in feature["geometry"]["coordinates"][0]) <= 2967
    slide.close()

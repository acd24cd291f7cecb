"""Polygons are the nuclei to the px: drawn again they give each instance, and nothing that a GeoJSON reader stumbles over."""

import json
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pathology.contracts.errors import DataError
from pathology.nuclei.outlines import doubled_area, features, polygons
from pathology.nuclei.palette import class_colours


def rasterise(geometry, shape):
    """Px whose centre an odd number of edges lies left of, over all rings of a Polygon or MultiPolygon."""
    crossings = np.zeros(shape, int)
    pieces = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    for ring in (ring for piece in pieces for ring in piece):
        for (x, y), (next_x, next_y) in pairwise(ring):
            assert (x == next_x) != (y == next_y), "edges run along px and none is empty"
            if x == next_x:
                crossings[int(min(y, next_y)) : int(max(y, next_y)), int(x) :] += 1
    return crossings % 2 > 0


def mask_of(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def geometry_of(mask):
    collection = features(np.stack([mask, mask], -1).astype(np.uint16), ["nucleus"])
    assert len(collection["features"]) == 1
    return collection["features"][0]["geometry"]


@given(
    arrays(np.uint16, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 1, 2, 9]), fill=st.just(0))
    | arrays(np.uint16, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 1))
)
@settings(max_examples=300)
def test_any_instance_map_comes_back(instances):
    kinds = np.where(instances == 9, 3, instances)
    collection = features(np.stack([instances, kinds], -1), ["a", "b", "c"])
    ids = sorted(set(instances.ravel().tolist()) - {0})
    assert len(collection["features"]) == len(ids)
    for number, feature in zip(ids, collection["features"], strict=True):
        np.testing.assert_array_equal(rasterise(feature["geometry"], instances.shape), instances == number)
    for number, pieces in polygons(instances).items():
        doubled = 0
        for exterior, *holes in pieces:
            assert doubled_area(exterior) > 0
            assert all(doubled_area(hole) < 0 for hole in holes)
            doubled += sum(map(doubled_area, (exterior, *holes)))
            for ring in (exterior, *holes):
                assert ring[0] == ring[-1]
                assert len(set(ring)) == len(ring) - 1 >= 4, "no ring touches itself"
                assert all(
                    (x == after_x) != (y == after_y) and (x == after_x) == (before_y == y)
                    for (before_x, before_y), (x, y), (after_x, after_y) in zip(ring, ring[1:], ring[2:], strict=False)
                ), "every point is a corner"
        assert doubled == 2 * (instances == number).sum()


def test_one_pixel_is_a_square():
    assert geometry_of(mask_of("...", ".#.")) == {
        "type": "Polygon",
        "coordinates": [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]],
    }


def test_a_hole_is_a_second_ring():
    geometry = geometry_of(mask_of("###", "#.#", "###"))
    assert geometry["type"] == "Polygon"
    exterior, hole = geometry["coordinates"]
    assert exterior == [[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]]
    assert sorted(map(tuple, hole[:-1])) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_a_bridge_of_one_pixel_holds_and_one_of_a_corner_does_not():
    bridge = mask_of("##..##", "######", "##..##")
    assert geometry_of(bridge)["type"] == "Polygon"
    np.testing.assert_array_equal(rasterise(geometry_of(bridge), bridge.shape), bridge)
    corner = mask_of("##..", "##..", "..##", "..##")
    assert geometry_of(corner)["type"] == "MultiPolygon"
    assert len(geometry_of(corner)["coordinates"]) == 2
    np.testing.assert_array_equal(rasterise(geometry_of(corner), corner.shape), corner)


def test_a_hole_that_touches_the_outside_in_a_corner_is_a_hole():
    mask = mask_of("###.", "#.##", "##.#", ".###"[::-1])
    geometry = geometry_of(mask)
    assert geometry["type"] == "Polygon"
    np.testing.assert_array_equal(rasterise(geometry, mask.shape), mask)
    ring = mask_of("##.", "#.#", "###")  # open at one corner only
    assert len(geometry_of(ring)["coordinates"]) == 2


def test_pieces_far_apart_are_one_feature():
    geometry = geometry_of(mask_of("##....#", "##....."))
    assert geometry["type"] == "MultiPolygon"
    assert [len(piece) for piece in geometry["coordinates"]] == [1, 1]


def test_a_nucleus_in_the_hole_of_another():
    instances = np.full((5, 5), 2, np.uint16)
    instances[2, 2] = 7
    outlines = polygons(instances)
    assert len(outlines[2][0]) == 2
    assert outlines[7] == [[[(2, 2), (3, 2), (3, 3), (2, 3), (2, 2)]]]


def test_what_qupath_reads(real_labels):
    labels = real_labels[0]
    collection = json.loads(json.dumps(features(labels, ["non_tumor", "tumor"], offset=(1000, 20.5)), allow_nan=False))
    assert collection["type"] == "FeatureCollection"
    colours = dict(zip(["non_tumor", "tumor"], class_colours(2), strict=True))
    for number, feature in enumerate(collection["features"], start=1):
        assert feature["type"] == "Feature"
        assert feature["properties"]["objectType"] == "detection"
        classification = feature["properties"]["classification"]
        assert tuple(classification["color"]) == colours[classification["name"]]
        mask = labels[..., 0] == number
        assert classification["name"] == ["non_tumor", "tumor"][labels[mask][0, 1] - 1]
        corners = np.array(feature["geometry"]["coordinates"][0])
        rows, columns = np.nonzero(mask)
        assert corners.min(0).tolist() == [1000 + columns.min(), 20.5 + rows.min()]
        assert corners.max(0).tolist() == [1001 + columns.max(), 21.5 + rows.max()]


def test_real_nuclei_drawn_by_another_hand(real_labels):
    """OpenCV fills the exteriors at 8 px to the px, holes apart, and reads them at the centres."""
    instances = real_labels[2, :, :, 0]
    for number, pieces in polygons(instances).items():
        canvas = np.zeros((256 * 8, 256 * 8), np.uint8)
        for exterior, *holes in pieces:
            cv2.fillPoly(canvas, [np.array(exterior) * 8], 1)
            for hole in holes:
                cv2.fillPoly(canvas, [np.array(hole) * 8], 0)
        np.testing.assert_array_equal(canvas[4::8, 4::8] > 0, instances == number)


def test_no_nuclei_no_features():
    assert features(np.zeros((6, 6, 2), np.uint16), ["a"]) == {"type": "FeatureCollection", "features": []}
    assert polygons(np.zeros((6, 6), np.uint16)) == {}


def discs(count):
    """``count``² discs in rows and columns, a label map."""
    rows, columns = np.ogrid[:20, :20]
    disc = (rows - 10) ** 2 + (columns - 10) ** 2 <= 81
    instances = np.kron(np.arange(1, count**2 + 1).reshape(count, count), np.ones((20, 20), int)) * np.tile(disc, (count, count))
    return np.stack([instances, instances > 0], -1)


def array_operations(labels):
    """How often outlining calls NumPy or a method of an array."""
    calls = []

    def note(frame, event, called):
        module = frame.f_globals.get("__name__", "") if event == "call" else getattr(called, "__module__", None) or ""
        if event in ("call", "c_call") and (
            module.startswith("numpy") or isinstance(getattr(called, "__self__", None), np.ndarray)
        ):
            calls.append(module)

    sys.setprofile(note)
    try:
        collection = features(labels, ["nucleus"])
    finally:
        sys.setprofile(None)
    return len(calls), len(collection["features"])


def test_all_nuclei_are_outlined_at_once():
    """Arrays of the whole map are gone through as often for 400 nuclei as for 16: time grows with the map, not with its square."""
    features(discs(1), ["nucleus"])  # imports are not part of it
    few, many = array_operations(discs(4)), array_operations(discs(20))
    assert (few[1], many[1]) == (16, 400)
    assert 0 < many[0] == few[0]


@pytest.mark.parametrize("instances", [np.zeros((3, 3)), np.zeros((3, 3, 1), int), np.zeros((2, 2), object)])
def test_refusals(instances):
    with pytest.raises(DataError, match="instance map"):
        polygons(instances)
    with pytest.raises(DataError, match="label map"):
        features(instances, ["a"])

"""Attention as tiles for QuPath: where they lie, what they are called, and what is left out."""

import json

import numpy as np
import pytest
from pathology.contracts.errors import DataError


def places(*sides):
    """Two slides of three and two tiles."""
    from pathology.tasks.msi.patients import Place

    coords = np.array([[0, 0], [500, 0], [0, 500], [7, 9], [507, 9]], np.int64)
    return [Place("one", coords[:3], sides[0]), Place("two", coords[3:], sides[1])]


FOLDS = np.array([[0.05, 0.3, 0.05, 0.5, 0.1], [0.15, 0.3, 0.05, 0.3, 0.2]], np.float32)


def written(folds=FOLDS, where=None, limit=10**6, **members):
    from pathology.tasks.msi.attention import attention_geojson

    content = attention_geojson(folds, where or places(500.0, 224.25), limit, **members)
    assert len(content) <= limit
    return json.loads(content)


def test_tiles_stand_by_falling_attention_each_where_it_lies():
    found = written(label="MSS")
    assert found["label"] == "MSS"
    assert [one["properties"]["metadata"]["slide_id"] for one in found["features"]] == ["two", "one", "two", "one", "one"]
    corners = [one["geometry"]["coordinates"][0] for one in found["features"]]
    assert corners[0] == [[7, 9], [231.25, 9], [231.25, 233.25], [7, 233.25], [7, 9]]
    assert corners[1] == [[500, 0], [1000, 0], [1000, 500], [500, 500], [500, 0]]
    assert all(one["properties"]["objectType"] == "tile" for one in found["features"])
    assert found["slides"] == [
        {"slide_id": "one", "tiles": 3, "shown": 3, "side": 500},
        {"slide_id": "two", "tiles": 2, "shown": 2, "side": 224.25},
    ]
    assert (found["tiles_shown"], found["tiles_left_out"], found["attention_shown"]) == (5, 0, 1.0) and "left_out" not in found


def test_a_tile_has_the_folds_mean_their_spread_and_its_multiple_of_the_mean():
    measured = [one["properties"]["measurements"] for one in written()["features"]]
    assert [one["Attention"] for one in measured] == pytest.approx([0.4, 0.3, 0.15, 0.1, 0.05], rel=1e-5)
    assert [one["Attention SD over folds"] for one in measured] == pytest.approx([0.1, 0, 0.05, 0.05, 0], abs=1e-6)
    assert [one["Attention / mean"] for one in measured] == pytest.approx([2.0, 1.5, 0.75, 0.5, 0.25], rel=1e-5)


def test_classes_are_multiples_of_the_mean_each_with_a_colour_of_its_own():
    from pathology.tasks.msi.attention import CLASSES
    from pathology.tasks.msi.patients import Place

    count = 101
    folds = np.full((1, count), (1 - 0.12 - 0.05 - 0.02) / (count - 3), np.float32)
    folds[0, :3] = 0.12, 0.05, 0.02  # of a mean of 1 / 101
    found = written(folds, [Place("one", np.zeros((count, 2), np.int64), 1.0)])
    kinds = [one["properties"]["classification"] for one in found["features"]]
    assert kinds[:4] == [{"name": name, "color": list(colour)} for _, name, colour in CLASSES]
    assert all(kind == kinds[3] for kind in kinds[4:]) and len({colour for *_, colour in CLASSES}) == 4


def test_where_there_is_too_little_room_the_least_are_left_out_and_that_is_said():
    whole = written()
    size = len(json.dumps(whole["features"][0], separators=(",", ":")))
    found = written(limit=4 * size)
    shown = found["tiles_shown"]
    assert 0 < shown < 5 and found["features"] == whole["features"][:shown]
    assert found["tiles_left_out"] == 5 - shown == 5 - sum(one["shown"] for one in found["slides"])
    assert found["attention_shown"] == pytest.approx(sum([0.4, 0.3, 0.15, 0.1][:shown]), rel=1e-5)
    assert found["left_out"].startswith(f"the {5 - shown} of 5 tiles with the least attention")


def test_a_slide_that_does_not_say_how_large_its_tiles_are_is_named():
    with pytest.raises(DataError, match="slide two: its feature file does not say how large a tile is"):
        written(where=places(500.0, None))


@pytest.mark.parametrize("side", [0, -1, float("nan"), float("inf"), "448", None])
def test_a_side_that_is_none_is_not_taken_for_one(side):
    from pathology.tasks.msi.patients import Place
    from pathology.wsi.features import Features

    slide = Features(np.ones((1, 2)), np.zeros((1, 2)), np.ones(1), {}, {} if side is None else {"patch_size_level0": side})
    assert Place.of("x", slide).side is None


def test_each_folds_attention_on_a_patient_sums_to_1(msi_run, monkeypatch):
    from pathology.tasks.msi import serving

    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    model = serving.model_fn(msi_run.root / "ml" / "model")
    slides = [row for row in msi_run.slides if row.slide_id.startswith("P000")]
    named = [{name: getattr(row, name) for name in ("slide_id", "features", "sha256")} for row in slides]
    prediction = serving.predict_fn(serving.input_fn(json.dumps({"slides": named})), model)
    assert prediction.attention.shape == (3, sum(row.tiles for row in slides))
    assert prediction.attention.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    found = json.loads(serving.output_fn(prediction, "application/geo+json"))
    assert sum(one["properties"]["measurements"]["Attention"] for one in found["features"]) == pytest.approx(1, abs=1e-4)
    assert found["probability"] == prediction.probability and len(slides) == len(found["slides"]) == 2

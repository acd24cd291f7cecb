"""GeoJSON as QuPath and RFC 7946 have it, and as much of it as there is room for."""

import json
from itertools import pairwise

import pytest
from pathology.geojson import collection, dumps, feature, square, within

RING = square(10, 20, 4.5)


def test_a_square_closes_and_turns_as_rfc_7946_says():
    assert RING == [[10, 20], [14.5, 20], [14.5, 24.5], [10, 24.5], [10, 20]]
    assert sum(x * later_y - later_x * y for (x, y), (later_x, later_y) in pairwise(RING)) / 2 == 4.5**2, "as y upwards: positive"


def test_one_piece_is_a_polygon_and_several_are_a_multipolygon():
    one = feature("tile", [[RING]], "Tumour", (1, 2, 3), measurements={"a": 1.5}, name="n")
    assert one == {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [RING]},
        "properties": {
            "objectType": "tile",
            "classification": {"name": "Tumour", "color": [1, 2, 3]},
            "measurements": {"a": 1.5},
            "name": "n",
        },
    }
    two = feature("detection", [[RING], [RING]], "Tumour", (1, 2, 3))
    assert two["geometry"] == {"type": "MultiPolygon", "coordinates": [[RING], [RING]]}


def test_numbers_that_json_has_not_are_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(collection([feature("tile", [[RING]], "x", (0, 0, 0), measurements={"a": float("nan")})]))


def members(shown):
    return {"shown": shown, "left_out": 20 - shown, **({"said": "some are left out"} if shown < 20 else {})}


def test_what_has_room_is_written_whole_and_no_more_is_made():
    features = [feature("tile", [[square(0, 0, 10**number)]], "x" * number, (0, 0, 0)) for number in range(20)]
    sizes = [len(dumps(collection(features[:shown], **members(shown)))) for shown in range(21)]
    for limit in (*range(0, sizes[-1] + 50, 7), *sizes, *(size - 1 for size in sizes)):
        made = []
        content = within(limit, (made.append(one) or one for one in features), members)
        shown = max([0, *(count for count, size in enumerate(sizes) if size <= limit)])
        assert content == dumps(collection(features[:shown], **members(shown)))
        assert len(content) <= max(limit, sizes[0])
        assert len(made) <= shown + 2
        assert json.loads(content)["shown"] == shown

"""Slide ids: safe, unique, and the same for the same file in every run."""

import unicodedata
from itertools import permutations

import pytest
from pathology.cohort.slide_ids import safe_id, slide_ids
from pathology.contracts.cohort import SlideId
from pathology.contracts.errors import DataError
from pydantic import TypeAdapter

SAFE = TypeAdapter(SlideId)
HOSPITAL = [
    "Müller, Anna (HE).svs",
    "B-2023&14 [A1].svs",
    "§ Schnitt #3 100%.ndpi",
    "Größe=5µm;Block+2.tif",
    "検体 01.svs",
    "_P01.svs",
    "'quoted' \"twice\".svs",
    "Ærø Łódź.scn",
    "x" * 240 + ".svs",
    "(1).svs",
]


@pytest.mark.parametrize("name", ["P01", "P 01 HE", "TCGA-AA-3692-01Z-00-DX1.33ab408b", "a" * 200])
def test_a_safe_name_is_its_own_id(name):
    assert safe_id(name) == name
    assert slide_ids([f"folder/{name}.svs"]) == {f"folder/{name}.svs": name}


def test_names_of_hospitals_get_safe_ids():
    ids = slide_ids(HOSPITAL)
    assert [SAFE.validate_python(slide_id) for slide_id in ids.values()] and len(set(ids.values())) == len(HOSPITAL)
    assert all(len(f".{slide_id}.geojson.12345-12345678.tmp".encode()) <= 255 for slide_id in ids.values())
    assert ids["Müller, Anna (HE).svs"].startswith("Muller_Anna_HE-")
    assert ids["Größe=5µm;Block+2.tif"].startswith("Grosse_5")


def test_an_id_is_for_ever():
    """Features of earlier runs are found by it."""
    assert safe_id("Müller (HE)") == "Muller_HE-05cd53bb"
    assert slide_ids(["a/x.svs", "b/x.svs"]) == {"a/x.svs": "x-4e5f8799", "b/x.svs": "x-44fc0e89"}


@pytest.mark.parametrize("name", ["Müller (HE)", "Ångström [2]", "Nguyễn & Söhne"])
def test_accents_composed_or_not_give_one_id(name):
    composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    assert composed != decomposed and safe_id(composed) == safe_id(decomposed)
    both = slide_ids([f"{composed}.svs", f"{decomposed}.svs"])
    assert len(set(both.values())) == 2


@pytest.mark.parametrize(
    "paths",
    [
        ["a/x.svs", "b/x.svs", "y.svs"],
        ["a/X.svs", "b/x.svs", "x.tif"],
        ["2023/ä&b.svs", "2024/ä&b.svs", "ä&b.svs"],
        ["x.svs", "X.svs", "thumbs/x.jpg"],
    ],
)
def test_one_name_in_several_folders(paths):
    ids = slide_ids(paths)
    assert len({slide_id.casefold() for slide_id in ids.values()}) == len(paths)
    assert all(slide_ids(order) == ids for order in permutations(paths))
    assert slide_ids(["a/first.svs", *paths, "z/last.svs"]).items() >= ids.items()


@pytest.mark.parametrize("picture", ["x.jpg", "thumbnails/x.png", "X.JPEG"])
def test_a_picture_takes_no_slides_name(picture):
    ids = slide_ids(["x.svs", picture], {picture})
    assert ids["x.svs"] == "x" and ids[picture].casefold().startswith("x-")


@pytest.mark.parametrize("path", ["a\nb.svs", "a/b\x1b[2J.svs", "M\udcfcller.svs"])
def test_what_no_table_can_hold_is_refused(path):
    with pytest.raises(DataError, match="control character, or is not UTF-8") as caught:
        slide_ids([path])
    assert str(caught.value).isprintable()

"""What a file says of its scale, its objective and its origin, by every way that it can say it."""

import json

import numpy as np
import pytest
import tifffile
from colour_encoder import ColourEncoder
from made_slides import write_tiff
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import extract_slide, plan_slide
from pathology.wsi.facts import read_facts, scanned_origin
from pathology.wsi.mpp import Scale, UnusableScale
from pathology.wsi.outline import tissue_geojson
from pathology.wsi.readers import open_slide

from demo.slides import write_svs

OME = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Instrument ID="Instrument:0">{objectives}</Instrument>
<Image ID="Image:0">{used}<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="1000" SizeY="900" SizeC="3" SizeZ="1"
 SizeT="1" {sizes}><Channel ID="Channel:0:0" SamplesPerPixel="3"/></Pixels></Image></OME>"""


def ome(sizes="", used="", objectives=""):
    return OME.format(sizes=sizes, used=used, objectives=objectives)


def write_ome(path, pixels, description, **tags):
    tifffile.imwrite(
        path,
        pixels,
        tile=(256, 256),
        photometric="rgb",
        compression="jpeg",
        description=description.encode(),
        metadata=None,
        **tags,
    )


@pytest.mark.parametrize(
    "sizes, mpp",
    [
        ('PhysicalSizeX="0.5" PhysicalSizeY="0.5"', 0.5),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="250" PhysicalSizeYUnit="nm"', 0.25),
        ('PhysicalSizeX="0.000465" PhysicalSizeXUnit="mm" PhysicalSizeY="0.465" PhysicalSizeYUnit="µm"', 0.465),
    ],
)
def test_physical_size_is_a_scale_before_resolution_tags(tmp_path, painted, sizes, mpp):
    path = tmp_path / "s.ome.tif"
    write_ome(path, painted[:900, :1000], ome(sizes), resolution=(5000, 5000), resolutionunit="CENTIMETER")
    assert open_slide(path, readers=["openslide"]).mpp == Scale(pytest.approx(mpp), "ome")


@pytest.mark.parametrize(
    "description",
    [
        ome('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1" PhysicalSizeYUnit="pixel"'),
        ome(),
        ome('PhysicalSizeX="0.5" PhysicalSizeY="0.5"').replace("</OME>", ""),
        '<!DOCTYPE OME [<!ENTITY a "0.5">]>' + ome('PhysicalSizeX="&a;" PhysicalSizeY="&a;"'),
        "<OME/>",
        "",
    ],
)
def test_what_is_no_physical_size_leaves_the_tags(description):
    tags = {
        "openslide.vendor": "generic-tiff",
        "openslide.mpp-x": "0.25",
        "openslide.mpp-y": "0.25",
        "tiff.ImageDescription": description,
    }
    assert read_facts(tags, []).mpp == Scale(0.25, "tiff")


def test_the_objective_that_the_image_was_taken_with_counts(tmp_path, painted):
    objectives = '<Objective ID="Objective:0" NominalMagnification="5"/><Objective ID="Objective:1" NominalMagnification="20.0"/>'
    path = tmp_path / "s.ome.tif"
    write_ome(path, painted, ome(used='<ObjectiveSettings ID="Objective:1"/>', objectives=objectives))
    slide = open_slide(path, readers=["openslide"])
    assert (slide.objective, slide.mpp) == (20.0, None)
    with pytest.raises(DataError, match="only an objective of 20×"):
        plan_slide(path, Tiling())
    assert plan_slide(path, Tiling(objective_scale=True)).scale == Scale(0.5, "objective")


def test_a_tag_that_says_what_no_scanner_can_is_refused(tmp_path, painted):
    """px/mm written as px/cm."""
    path = tmp_path / "s.tif"
    write_tiff(path, painted, (1, 4), compression="jpeg", resolution=(200_000, 200_000), resolutionunit="CENTIMETER")
    for tiling in (Tiling(), Tiling(default_mpp=0.5)):
        with pytest.raises(DataError, match="says 0.05 µm/px .tiff., and no scanner is finer than 0.08.*column 'mpp'"):
            plan_slide(path, tiling)
    assert plan_slide(path, Tiling(), 0.5).scale == Scale(0.5, "cohort")


def test_so_is_the_case_that_was_shared(shared_data):
    with pytest.raises(DataError, match="says 0.05 µm/px"):
        plan_slide(shared_data.parent / "cases" / "slides" / "tag-says-0.05.tif", Tiling())


@pytest.mark.parametrize("mpp", [0.05, 0.0252])
def test_so_is_a_vendors_text_and_a_physical_size(tmp_path, painted, mpp):
    write_svs(tmp_path / "s.svs", painted[:600, :600], mpp=mpp)
    write_ome(tmp_path / "s.tif", painted[:600, :600], ome(f'PhysicalSizeX="{mpp}" PhysicalSizeY="{mpp}"'))
    for name in ("s.svs", "s.tif"):
        with pytest.raises(DataError, match=f"says {mpp:g} µm/px"):
            plan_slide(tmp_path / name, Tiling())


def test_px_that_are_not_square_are_refused_with_both_figures(tmp_path, painted):
    path = tmp_path / "s.tif"
    write_tiff(path, painted[:600, :600], resolution=(20_000, 40_000), resolutionunit="CENTIMETER")
    assert isinstance(open_slide(path, readers=["openslide"]).mpp, UnusableScale)
    with pytest.raises(DataError, match=r"0.5 µm/px in x and 0.25 in y \(tiff\)"):
        plan_slide(path, Tiling(default_mpp=0.5))


BOUNDS = {
    "openslide.bounds-x": "320",
    "openslide.bounds-y": "64",
    "openslide.bounds-width": "900",
    "openslide.bounds-height": "800",
}


def test_where_viewers_let_a_slide_begin():
    assert scanned_origin(BOUNDS) == (320, 64)
    assert scanned_origin({}) == (0, 0)
    assert scanned_origin({key: value for key, value in BOUNDS.items() if "height" not in key}) == (0, 0), (
        "QuPath does not crop to these"
    )


def test_the_outline_is_in_the_coordinates_of_qupath():
    mask = np.zeros((40, 60), bool)
    mask[20:30, 40:50] = True
    whole, cropped = (json.loads(tissue_geojson(mask, 8.0, "s", origin)) for origin in ((0, 0), (320, 64)))
    rings = [np.array(collection["features"][0]["geometry"]["coordinates"][0]) for collection in (whole, cropped)]
    assert (rings[0] - rings[1] == (320, 64)).all()
    assert rings[1].min(axis=0).tolist() == [0, 96] and rings[1].max(axis=0).tolist() == [80, 176]


def test_a_slides_own_bounds_are_taken_off_its_outline_and_kept_beside(tmp_path, svs, monkeypatch):
    monkeypatch.setattr("pathology.wsi.facts.scanned_origin", lambda _: (0, 0))
    whole = extract_slide(svs, "s", tmp_path / "a.h5", Tiling(), ColourEncoder())
    monkeypatch.undo()
    monkeypatch.setattr("pathology.wsi.facts.scanned_origin", lambda _: scanned_origin(BOUNDS))
    cropped = extract_slide(svs, "s", tmp_path / "b.h5", Tiling(), ColourEncoder())
    rings = [np.array(json.loads(done.outline)["features"][0]["geometry"]["coordinates"][0]) for done in (whole, cropped)]
    assert (rings[0] - rings[1] == (320, 64)).all() and (whole.origin, cropped.origin) == ((0, 0), (320, 64))
    assert whole.content_sha256 == cropped.content_sha256, "tiles stay in level-0 px"

"""The mask over a table of colours: every stain, ink and dust on every glass, and the real slide."""

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.readers import open_slide
from pathology.wsi.thumbnail import read_thumbnail
from pathology.wsi.tissue import find_tissue, tissue_mask

MPP, SIDE = 4.0, 120
REAL = Path(__file__).parents[4] / "shared/data/slides/CMU-1-Small-Region.svs"

COLOURS = """kind,name,red,green,blue,spread
glass,neutral,243,243,243,1.5
glass,cool,246,248,252,1.5
glass,yellowed,244,238,215,2
glass,yellow lamp,244,244,222,2
glass,pink lamp,244,228,236,2
glass,lavender lamp,244,230,244,2
glass,warm grey,223,215,213,2
glass,dim grey,205,204,206,2
stain,haematoxylin and eosin,188,120,178,16
stain,nuclei crowded,110,70,150,14
stain,eosin,222,150,180,12
stain,strong eosin,228,115,150,10
stain,old eosin,224,118,128,10
stain,pale,235,220,228,6
stain,mucin,214,204,222,6
ink,green,45,150,85,10
ink,blue,35,65,165,10
ink,black,28,26,30,6
ink,red,205,42,52,12
ink,maroon,120,32,52,10
ink,orange,232,132,45,12
dust,grey,122,119,116,8
frame,black,12,12,12,3
"""
OWN = """kind,name,red,green,blue,spread
glass,deep pink,238,212,224,2
glass,green lamp,228,240,226,2
glass,amber,240,226,198,2
stain,brick eosin,214,96,118,10
stain,pale violet,216,200,226,6
stain,blue haematoxylin,96,84,158,12
ink,crimson,178,24,44,10
ink,violet blue,60,60,190,10
ink,turquoise,30,150,160,10
dust,dark,90,88,86,8
dust,bluish,112,116,122,8
frame,charcoal,40,38,42,4
"""


def colours(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    values = {row["name"]: (*(float(row[name]) for name in ("red", "green", "blue")), float(row["spread"])) for row in rows}
    return {kind: {row["name"]: values[row["name"]] for row in rows if row["kind"] == kind} for kind in ("glass", "stain")} | {
        "other": {row["name"]: values[row["name"]] for row in rows if row["kind"] not in {"glass", "stain"}}
    }


def area(cover, colour, glass, generator):
    """A patch of ``colour`` where ``cover`` (H, W) bool is, uneven over a few px, on ``glass``; (H, W, 3) uint8."""
    pixels = np.array(glass[:3]) + generator.normal(0, glass[3], (*cover.shape, 3))
    if colour is not None:
        noise = generator.normal(size=(*cover.shape, 1)) * 0.84 + generator.normal(size=(*cover.shape, 3)) * 0.55
        noise = cv2.GaussianBlur(noise, (0, 0), 1.5)
        pixels[cover] = (np.array(colour[:3]) + noise * colour[3] / noise.std())[cover]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def disc(radius=34):
    return cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (SIDE // 2, SIDE // 2), radius, 1, -1) > 0


def shares(glasses, areas, seed):
    """Fraction of each area that is taken for tissue, and of the glass around it, on each glass: two arrays (areas, glasses)."""
    generator, cover = np.random.default_rng(seed), disc()
    taken, around = np.zeros((2, len(areas), len(glasses)))
    for row, colour in enumerate(areas):
        for column, glass in enumerate(glasses):
            mask = tissue_mask(area(cover, colour, glass, generator), MPP)
            taken[row, column], around[row, column] = mask[cover].mean(), mask[~cover].mean()
    return taken, around


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_stain_is_kept_and_glass_ink_and_dust_are_not_over_the_table(seed):
    table = colours(COLOURS)
    glasses = list(table["glass"].values())
    kept, around = shares(glasses, list(table["stain"].values()), seed)
    assert kept.mean() >= 0.97 and np.median(kept, axis=1).min() > 0.9
    assert around.mean() < 0.02
    taken, around = shares(glasses, [*table["other"].values(), None], seed)
    assert taken.mean() <= 0.02 and taken.max() <= 0.05 and around.max() < 0.02


def test_and_over_colours_that_nobody_tuned_it_to():
    table, own = colours(COLOURS), colours(OWN)
    known = [table["glass"][name] for name in ("neutral", "pink lamp")]
    glasses = [*own["glass"].values(), *known]
    kept, _ = shares(glasses, [*own["stain"].values(), table["stain"]["eosin"]], 3)
    assert kept.mean() >= 0.9 and kept.min() > 0.8
    taken, around = shares(glasses, [*own["other"].values(), None], 4)
    assert taken.mean() <= 0.05 and around.mean() <= 0.02


@pytest.mark.parametrize("glass", ["neutral", "pink lamp", "lavender lamp", "yellowed", "dim grey"])
@pytest.mark.parametrize("share", [0.05, 0.9, 1.0])
def test_slides_nearly_all_glass_or_nearly_all_tissue(glass, share):
    table, generator = colours(COLOURS), np.random.default_rng(5)
    cover = np.zeros((SIDE, SIDE), bool)
    if share < 0.5:
        cover[50:77, 50:77] = True
    else:
        cover[:, : round(share * SIDE)] = True
    pixels = area(cover, table["stain"]["eosin"], table["glass"][glass], generator)
    found = find_tissue(pixels, MPP)
    assert found.glass.found == (share < 1)
    if share < 0.5:
        assert (found.mask & cover).sum() / (found.mask | cover).sum() > 0.8
    else:
        assert found.mask[cover].mean() > 0.97


def test_glass_is_measured_where_most_of_the_picture_was_never_scanned():
    table = colours(COLOURS)
    pixels = area(disc(), table["stain"]["eosin"], table["glass"]["pink lamp"], np.random.default_rng(6))
    padded = np.full((SIDE, 4 * SIDE, 3), 255, np.uint8)
    padded[:, :SIDE] = pixels
    found = find_tissue(padded, MPP)
    np.testing.assert_allclose(found.glass.colour, (243.5, 227.5, 235.5), atol=1.5)
    assert found.mask[:, :SIDE][disc()].mean() > 0.95 and found.mask[:, :SIDE][~disc()].mean() < 0.05
    assert not found.mask[:, SIDE + 5 :].any()


def test_what_may_be_ink_counts_as_tissue_and_is_said():
    table, generator = colours(COLOURS), np.random.default_rng(7)
    strong = (222, 92, 100, 6)
    found = find_tissue(area(disc(), strong, table["glass"]["neutral"], generator), MPP)
    assert found.mask[disc()].mean() > 0.9 and found.ink[disc()].mean() > 0.5
    found = find_tissue(area(disc(), table["stain"]["haematoxylin and eosin"], table["glass"]["neutral"], generator), MPP)
    assert found.ink.mean() < 0.01
    found = find_tissue(area(disc(), table["other"]["red"], table["glass"]["neutral"], generator), MPP)
    assert found.ink[disc()].mean() > 0.95 and found.mask.mean() < 0.01


def test_thresholds_are_the_persons():
    table, generator = colours(COLOURS), np.random.default_rng(8)
    pixels = area(disc(), table["stain"]["eosin"], table["glass"]["neutral"], generator)
    assert not tissue_mask(pixels, MPP, Tiling(tissue_saturation=200)).any()
    assert not tissue_mask(pixels, MPP, Tiling(min_tissue_area=1e5)).any()
    pixels[disc(11)] = (243, 243, 243)
    middle = SIDE // 2
    assert not tissue_mask(pixels, MPP)[middle, middle] and tissue_mask(pixels, MPP, Tiling(max_hole=100))[middle, middle]
    red = area(disc(), table["other"]["red"], table["glass"]["neutral"], generator)
    assert not tissue_mask(red, MPP).any() and tissue_mask(red, MPP, Tiling(remove_ink=False))[disc()].mean() > 0.9


@pytest.mark.skipif(not REAL.is_file(), reason="the real slide is not here")
def test_the_real_slides_mask_is_as_it_was():
    slide = open_slide(REAL)
    try:
        thumbnail = read_thumbnail(slide, MPP / 0.499)
    finally:
        slide.close()
    mask = tissue_mask(thumbnail.pixels, thumbnail.downsample * 0.499)
    before = np.unpackbits(np.load(Path(__file__).parent / "cmu-1-small-region-tissue.npy"))[: mask.size].reshape(mask.shape) > 0
    assert (mask & before).sum() / (mask | before).sum() >= 0.98

"""Pictures of one level: the px that were written, a limit that is named, and no damage that goes unheard."""

import cv2
import numpy as np
import pytest
import tifffile
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.extraction import plan_slide
from pathology.wsi.readers import open_slide
from PIL import Image

PIXELS = np.kron(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8), np.ones((10, 10, 1), np.uint8))
HEIGHT, WIDTH = PIXELS.shape[:2]


def strips(path, pixels=PIXELS, **options):
    tifffile.imwrite(path, pixels, **{"photometric": "rgb", "rowsperstrip": 16, "metadata": None, **options})
    return path


def saved(path, pixels=PIXELS, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def whole(path) -> np.ndarray:
    slide = open_slide(path)
    assert slide.name == "flat" and [(level.width, level.height, level.downsample) for level in slide.levels] == [
        (WIDTH, HEIGHT, 1)
    ]
    return slide.read_region(0, 0, WIDTH, HEIGHT, 0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"rowsperstrip": HEIGHT},
    ],
    ids=str,
)
def test_a_striped_tiff_is_read_as_it_was_written(tmp_path, options):
    assert np.array_equal(whole(strips(tmp_path / "a.tif", **options)), PIXELS)


def test_planes_grey_and_palettes(tmp_path):
    planes = strips(tmp_path / "planes.tif", np.moveaxis(PIXELS, 2, 0), planarconfig="separate")
    assert np.array_equal(whole(planes), PIXELS)
    grey = np.repeat(PIXELS[..., :1], 3, axis=2)
    assert np.array_equal(whole(strips(tmp_path / "grey.tif", PIXELS[..., 0], photometric="minisblack")), grey)
    assert np.array_equal(whole(strips(tmp_path / "white.tif", PIXELS[..., 0], photometric="miniswhite")), 255 - grey)
    few = PIXELS // 128 * 255
    assert np.array_equal(whole(saved(tmp_path / "palette.png", few, "P")), few)


def test_png_and_jpeg(tmp_path):
    assert np.array_equal(whole(saved(tmp_path / "a.png")), PIXELS)
    path = saved(tmp_path / "a.jpg", quality=90)
    assert np.array_equal(whole(path), cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))
    assert np.array_equal(whole(path.rename(tmp_path / "named.png")), whole(saved(tmp_path / "a.jpg", quality=90)))


def test_transparent_px_are_glass(tmp_path):
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    alpha[:100], alpha[100:200] = 255, 51
    read = whole(saved(tmp_path / "a.png", np.concatenate([PIXELS, alpha], axis=2)))
    assert np.array_equal(read[:100], PIXELS[:100]) and (read[200:] == 255).all()
    assert np.abs(read[100:200] - (0.2 * PIXELS[100:200] + 0.8 * 255)).max() <= 0.5001


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_beyond_the_edge_is_glass(tmp_path, name):
    slide = open_slide(strips(tmp_path / name) if name == "a.tif" else saved(tmp_path / name))
    region = slide.read_region(WIDTH - 10, -5, 30, 20, 0)
    assert region.shape == (20, 30, 3) and (region[:5] == 255).all() and (region[:, 10:] == 255).all()
    assert np.array_equal(region[5:, :10], slide.read_region(WIDTH - 10, 0, 10, 15, 0))
    assert (slide.read_region(-50, 2 * HEIGHT, 10, 10, 0) == 255).all()
    slide.close()


def test_the_scale_is_the_tables_or_the_tiffs(tmp_path):
    assert open_slide(strips(tmp_path / "a.tif", resolution=(20000, 20000), resolutionunit="CENTIMETER")).mpp.mpp == 0.5
    stained = np.full((600, 600, 3), 243, np.uint8)
    stained[100:500, 100:500] = np.random.default_rng(0).integers((150, 60, 130), (190, 110, 170), (400, 400, 3))
    path = saved(tmp_path / "a.png", stained, dpi=(25400, 25400))
    tiling = Tiling(default_mpp=None)
    with pytest.raises(DataError, match="its file gives no scale: add its µm/px to the column 'mpp'"):
        plan_slide(path, tiling)
    plan = plan_slide(path, tiling, 0.5)
    assert (plan.scale.mpp, plan.scale.source, plan.slide.name) == (0.5, "cohort", "flat") and len(plan.grid) > 0


def test_more_px_than_the_limit_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    large = tmp_path / "A (1).png"
    Image.new("1", (12_000, 12_000)).save(large)
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError) as caught:
        open_slide(large)
    assert str(caught.value) == (
        "A (1).png: a picture of 12,000 × 12,000 px, and at most 134,217,728 are decoded whole: "
        "vips tiffsave 'A (1).png' 'A (1)-tiled.tif' --tile --pyramid --compression jpeg --Q 90 --bigtiff"
    )
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="more than twice as many px.*vips tiffsave"):
        open_slide(large)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: strips(path, PIXELS.astype(np.uint16)), "px are RGB, not grey or RGB of at most 8 bits: vips tiffsave"),
        (lambda path: strips(path, PIXELS[..., 0].astype(np.float32), photometric="minisblack"), "px are F, not grey or RGB"),
        (lambda path: saved(path, mode="CMYK", format="JPEG"), "px are CMYK, not grey or RGB"),
        (lambda path: strips(path, compression="jpeg"), "its strips are JPEG, and what their decoder warns of.*: vips tiffsave"),
        (lambda path: strips(path, compression="webp"), "not read as it is .*vips tiffsave"),
        (lambda path: strips(path, np.stack([PIXELS, PIXELS])), "several pictures of 400 × 300 px in one file"),
    ],
)
def test_what_is_not_read_is_refused_with_what_to_do(tmp_path, write, message):
    with pytest.raises(DataError, match=message) as caught:
        open_slide(write(tmp_path / "a.tif"))
    assert "\n" not in str(caught.value) and str(tmp_path) not in str(caught.value)


def _cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


def _zeros(data: bytearray) -> None:
    data[len(data) // 2 : len(data) // 2 + 512] = bytes(512)


def _bit(data: bytearray) -> None:
    data[len(data) // 2] ^= 16


NOISE = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ("a.png", "deflate.tif") for damage in (_cut, _zeros, _bit)),
        *(("a.jpg", damage) for damage in (_cut, _zeros)),
        *(("lzw.tif", damage) for damage in (_cut, _zeros)),
        ("plain.tif", _cut),
    ],
)
def test_damage_is_heard(tmp_path, name, damage):
    """Of one bit in a JPEG, and of changed bytes where nothing is compressed, no decoder can tell."""
    path = tmp_path / name
    kinds = {"deflate.tif": "zlib", "lzw.tif": "lzw", "plain.tif": None}
    if name in kinds:
        strips(path, NOISE, compression=kinds[name])
    else:
        saved(path, NOISE)
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        open_slide(path)
    assert path.name in str(caught.value)

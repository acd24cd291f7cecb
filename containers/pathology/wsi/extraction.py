"""One slide, from its file to its feature file: open, find the tissue, lay the grid, embed tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.embedding import Progress, embed_grid
from pathology.wsi.features import Attribute, content_sha256, write_features
from pathology.wsi.grid import Grid, make_grid
from pathology.wsi.mpp import Scale, choose_scale
from pathology.wsi.outline import overlay, tissue_geojson
from pathology.wsi.readers import SlideReader, open_slide
from pathology.wsi.thumbnail import read_thumbnail
from pathology.wsi.tissue import THUMBNAIL_MICRONS, tissue_mask

if TYPE_CHECKING:
    from pathology.encoders.encoder import Encoder


@dataclass(frozen=True)
class Extracted:
    """What came of a slide: ``sha256`` of its feature file, empty where it had no tissue and ``reason`` says so, and
    ``content_sha256`` of the features alone; ``outline`` of the tissue as GeoJSON and ``overlay``, a JPEG to look at. The encoder
    stalled for ``tile_stall_seconds`` on tiles."""

    scale: Scale
    reader: str
    tiles: int
    failed_tiles: int
    sha256: str
    content_sha256: str
    outline: bytes
    overlay: bytes
    reason: str = ""
    tile_stall_seconds: float = 0.0


@dataclass(frozen=True)
class SlidePlan:
    """An open slide with its scale and the grid over its tissue; ``outline`` of the tissue as GeoJSON and ``overlay``, a JPEG of
    it with the tiles, where they were asked for."""

    slide: SlideReader
    scale: Scale
    grid: Grid
    outline: bytes = b""
    overlay: bytes = b""


def plan_slide(path: Path, tiling: Tiling, cohort_mpp: float | None = None, *, pictured: str | None = None) -> SlidePlan:
    """Open a slide, learn its scale, find its tissue and lay the grid; with its id ``pictured`` make its pictures too, since the
    thumbnail is not kept.

    Raises:
        DataError: when the slide cannot be read, has no scale, or is coarser than ``tiling.mpp``.
    """
    slide = open_slide(path)
    try:
        scale = choose_scale(slide.mpp, cohort_mpp, tiling.default_mpp, tiling.mpp)
        thumbnail = read_thumbnail(slide, THUMBNAIL_MICRONS / scale.mpp)
        # What the thumbnail could not show is looked at tile by tile, so that it is counted and not skipped.
        tissue = tissue_mask(thumbnail.pixels, thumbnail.downsample * scale.mpp) | thumbnail.unknown
        grid = make_grid(slide, scale.mpp, tissue, thumbnail.downsample, tiling)
        if pictured is None:
            return SlidePlan(slide, scale, grid)
        everything = None
        if len(grid) < grid.candidates:
            everything = make_grid(slide, scale.mpp, tissue, thumbnail.downsample, tiling.model_copy(update={"max_tiles": 0}))
        picture = overlay(thumbnail, tissue, grid, scale.mpp, before_sampling=everything)
        return SlidePlan(slide, scale, grid, tissue_geojson(tissue, thumbnail.downsample, pictured), picture)
    except BaseException:
        slide.close()
        raise


def extract_slide(
    path: Path,
    slide_id: str,
    target: Path,
    tiling: Tiling,
    encoder: Encoder,
    *,
    cohort_mpp: float | None = None,
    batch_size: int = 0,
    progress: Progress | None = None,
) -> Extracted:
    """Write the features of the slide at ``path`` to ``target``, unless it has no tissue.

    Memory is the features, three batches of tiles and the thumbnail, whatever the slide's size. ``batch_size`` 0 is chosen by
    the device.

    Raises:
        DataError: when the slide, or every tile of it, cannot be read.
    """
    plan = plan_slide(path, tiling, cohort_mpp, pictured=slide_id)
    pictures = (plan.outline, plan.overlay)
    try:
        slide, grid = plan.slide, plan.grid
        if len(grid) == 0:
            return Extracted(plan.scale, slide.name, 0, 0, "", "", *pictures, _why_empty(slide, grid, tiling))
        embedded = embed_grid(slide, grid, encoder, batch_size, progress)
    finally:
        plan.slide.close()
    good = embedded.good
    failed = len(grid) - len(good)
    if len(good) == 0:
        raise DataError(f"none of its {len(grid)} tissue tiles can be decoded: the file is damaged")
    counts: dict[str, Attribute] = {"tiles": len(good), "tiles_failed": failed, "tiles_with_tissue": grid.candidates}
    coords = grid.coords[good]
    content = content_sha256(embedded.features, coords)
    digest = write_features(
        target,
        embedded.features,
        coords,
        grid.tissue_fraction[good],
        {**_provenance(slide_id, plan, tiling, encoder), **counts},
        grid=_grid_attributes(slide_id, plan),
    )
    stalled = embedded.tile_stall_seconds
    return Extracted(plan.scale, slide.name, len(good), failed, digest, content, *pictures, tile_stall_seconds=stalled)


def _why_empty(slide: SlideReader, grid: Grid, tiling: Tiling) -> str:
    base = slide.levels[0]
    if min(base.width, base.height) < grid.side_level0:
        return f"smaller than one tile: {base.width} × {base.height} px, a tile takes {grid.side_level0:.1f}"
    return f"no tile with at least {tiling.min_tissue:.0%} of tissue"


def _provenance(slide_id: str, plan: SlidePlan, tiling: Tiling, encoder: Encoder) -> dict[str, Attribute]:
    manifest = encoder.manifest
    return {
        "slide_id": slide_id,
        "encoder": manifest.name,
        "verified": manifest.verified,
        "encoder_origin": manifest.origin,
        "remark": manifest.remark,
        "checkpoint_sha256": manifest.sha256,
        "settings_hash": tiling.hash(manifest.name, manifest.sha256),
        "arithmetic": encoder.arithmetic,
        "reader": plan.slide.name,
        "mpp": plan.scale.mpp,
        "mpp_source": plan.scale.source,
        "tile_mpp": tiling.mpp,
    }


def _grid_attributes(slide_id: str, plan: SlidePlan) -> dict[str, Attribute]:
    base = plan.slide.levels[0]
    return {
        "name": slide_id,
        "patch_size": plan.grid.tile_size,
        "patch_size_level0": round(plan.grid.side_level0),
        "patch_side_level0": plan.grid.side_level0,
        "level0_width": base.width,
        "level0_height": base.height,
        "overlap": 0,
    }

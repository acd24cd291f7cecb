"""One slide, from its file to its feature file: open, find the tissue, lay the grid, embed tile by tile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.embedding import Progress, embed_grid
from pathology.wsi.features import Attribute, colour_attributes, content_sha256, write_features
from pathology.wsi.grid import Grid, make_grid, tissue_fractions
from pathology.wsi.mpp import Scale, choose_scale, scale_remarks
from pathology.wsi.outline import overlay, tissue_geojson
from pathology.wsi.own_mask import OWN_MASK, read_own_mask
from pathology.wsi.pyramid import Slide
from pathology.wsi.reader_threads import ReaderThreads
from pathology.wsi.readers import open_slide
from pathology.wsi.thumbnail import Thumbnail, read_thumbnail
from pathology.wsi.tissue import THUMBNAIL_MICRONS, Tissue, find_tissue

if TYPE_CHECKING:
    from pathology.encoders.encoder import Encoder

MUCH_TISSUE = 0.95
"""Of a slide's area; above it the mask may have taken glass, and somebody should look."""

INKED = 0.05
"""Of a tile; from here on it counts as one that shows ink."""


@dataclass(frozen=True)
class Extracted:
    """What came of a slide: ``sha256`` of its feature file, empty where it had no tissue and ``reason`` says so, and
    ``content_sha256`` of the features alone; ``outline`` of the tissue as GeoJSON, whose 0, 0 is the level-0 px ``origin``, and
    ``overlay``, a JPEG to look at. The encoder stalled for ``tile_stall_seconds`` on tiles. ``tissue`` says how its mask came to be,
    ``tissue_fraction`` how much of the slide it is, ``tiles_with_ink`` how many tiles show ink or what may be ink, and ``warnings`` what
    somebody should look at. ``colours`` are the tiles' as :meth:`pathology.colours.ColourSums.numbers` gives them."""

    scale: Scale
    reader: str
    tiles: int
    failed_tiles: int
    sha256: str
    content_sha256: str
    outline: bytes
    overlay: bytes
    origin: tuple[int, int]
    tissue: str
    tissue_fraction: float
    tiles_with_ink: int
    warnings: tuple[str, ...]
    reason: str = ""
    tile_stall_seconds: float = 0.0
    colours: tuple[float, ...] | None = None


@dataclass(frozen=True)
class SlidePlan:
    """An open slide with its scale and the grid over its tissue; ``outline`` of the tissue as GeoJSON and ``overlay``, a JPEG of
    it with the tiles, where they were asked for; ``ink_fraction`` (N,) float32 of each tile, and ``warnings`` of what of the slide was
    left out or doubted, and of the mask."""

    slide: Slide
    scale: Scale
    grid: Grid
    tissue: str
    tissue_fraction: float
    ink_fraction: np.ndarray
    warnings: tuple[str, ...] = ()
    outline: bytes = b""
    overlay: bytes = b""


def plan_slide(
    path: Path, tiling: Tiling, cohort_mpp: float | None = None, *, pictured: str | None = None, own_mask: bytes | None = None
) -> SlidePlan:
    """Open a slide, learn its scale, find its tissue, or take it from ``own_mask``, and lay the grid; with its id ``pictured`` make its
    pictures too, since the thumbnail is not kept.

    Raises:
        DataError: when the slide or its mask cannot be read, it has no scale, or is coarser than ``tiling.mpp``.
    """
    slide = open_slide(path)
    try:
        scale = choose_scale(
            slide.mpp,
            cohort_mpp,
            tiling.default_mpp,
            tiling.mpp,
            objective=slide.objective,
            by_objective=tiling.objective_scale,
        )
        thumbnail = read_thumbnail(slide, THUMBNAIL_MICRONS / scale.mpp)
        slide.forget_tiles()  # of another level than the grid's, most often; looking for tissue needs the memory
        found, of_mask = _tissue(slide, thumbnail, scale.mpp, tiling, own_mask)
        warnings = (*slide.remarks, *scale_remarks(scale, slide.objective), *of_mask)
        tissue = found.mask
        grid = make_grid(slide, scale.mpp, tissue, thumbnail.downsample, tiling)
        corners = grid.level_coords * slide.levels[grid.level].downsample / thumbnail.downsample
        inked = tissue_fractions(found.ink, corners, grid.side_level0 / thumbnail.downsample)
        plan = SlidePlan(slide, scale, grid, found.source, found.fraction, inked, warnings)
        if pictured is None:
            return plan
        everything = None
        if len(grid) < grid.candidates:
            everything = make_grid(slide, scale.mpp, tissue, thumbnail.downsample, tiling.model_copy(update={"max_tiles": 0}))
        picture = overlay(thumbnail, tissue, grid, scale.mpp, before_sampling=everything)
        outline = tissue_geojson(tissue, thumbnail.downsample, pictured, slide.origin)
        return replace(plan, outline=outline, overlay=picture)
    except BaseException:
        slide.close()
        raise


def _tissue(
    slide: Slide, thumbnail: Thumbnail, mpp: float, tiling: Tiling, own_mask: bytes | None
) -> tuple[Tissue, tuple[str, ...]]:
    """The slide's tissue on its thumbnail, and what somebody should know of it."""
    found = find_tissue(thumbnail.pixels, thumbnail.downsample * mpp, tiling)
    if own_mask is None:
        # What the thumbnail could not show is looked at tile by tile, so that it is counted and not skipped.
        found = replace(found, mask=found.mask | thumbnail.unknown)
        remarks: tuple[str, ...] = (
            () if found.glass.found else ("it shows no bare glass: its colours are measured against an assumed grey",)
        )
    else:
        base = slide.levels[0]
        own = read_own_mask(own_mask, thumbnail.unknown.shape, thumbnail.downsample, (base.width, base.height), slide.origin)
        found, remarks = replace(found, mask=own.mask, source=OWN_MASK), own.remarks
    if found.fraction > MUCH_TISSUE:
        origin = "as its own mask says" if own_mask is not None else "look at its picture whether glass was taken for it"
        remarks = (*remarks, f"{found.fraction:.1%} of it is tissue: {origin}")
    return found, remarks


def extract_slide(
    path: Path,
    slide_id: str,
    target: Path,
    tiling: Tiling,
    encoder: Encoder,
    *,
    cohort_mpp: float | None = None,
    own_mask: bytes | None = None,
    batch_size: int = 0,
    progress: Progress | None = None,
    threads: ReaderThreads | None = None,
) -> Extracted:
    """Write the features of the slide at ``path`` to ``target``, unless it has no tissue.

    Memory is the features, three batches of tiles and the thumbnail, whatever the slide's size. ``own_mask`` is the content of a
    person's mask, in place of one that is found. ``batch_size`` 0 is chosen by the device.

    Raises:
        DataError: when the slide, or every tile of it, cannot be read.
    """
    plan = plan_slide(path, tiling, cohort_mpp, pictured=slide_id, own_mask=own_mask)
    pictures = (plan.outline, plan.overlay, plan.slide.origin, plan.tissue, plan.tissue_fraction)
    try:
        slide, grid = plan.slide, plan.grid
        if len(grid) == 0:
            return Extracted(plan.scale, slide.name, 0, 0, "", "", *pictures, 0, plan.warnings, _why_empty(slide, grid, tiling))
        embedded = embed_grid(slide, grid, encoder, batch_size, progress, threads)
    finally:
        plan.slide.close()
    good = embedded.good
    failed = len(grid) - len(good)
    if len(good) == 0:
        raise DataError(f"none of its {len(grid)} tissue tiles can be decoded: the file is damaged")
    counts: dict[str, Attribute] = {"tiles": len(good), "tiles_failed": failed, "tiles_with_tissue": grid.candidates}
    coords, colours = grid.coords[good], embedded.colours.numbers()
    content = content_sha256(embedded.features, coords)
    digest = write_features(
        target,
        embedded.features,
        coords,
        grid.tissue_fraction[good],
        {**_provenance(slide_id, plan, tiling, encoder), **counts, **colour_attributes(colours)},
        grid=_grid_attributes(slide_id, plan),
        ink_fraction=plan.ink_fraction[good],
    )
    inked = int((plan.ink_fraction[good] >= INKED).sum())
    return Extracted(
        *(plan.scale, slide.name, len(good), failed, digest, content, *pictures, inked, plan.warnings),
        tile_stall_seconds=embedded.tile_stall_seconds,
        colours=colours,
    )


def _why_empty(slide: Slide, grid: Grid, tiling: Tiling) -> str:
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
        "tissue": plan.tissue,
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

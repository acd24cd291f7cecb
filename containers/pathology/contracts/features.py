"""What lies beside a slide's features: the sidecar."""

from __future__ import annotations

from typing import Literal

from pathology.contracts.strict_json import StrictJson


class Sidecar(StrictJson):
    """``<slide_id>.json``: a slide is finished when this says so and its file has this hash.

    ``status`` ok has a feature file with ``sha256``; empty found no tissue; failed has a ``reason``. ``bytes``, ``md5``,
    ``etag`` and ``companion`` are the slide's own (:class:`pathology.contracts.extraction.slides.SlideToExtract`), ``cohort_mpp`` the
    table's, so that a replaced slide or a corrected MPP is extracted again.
    ``content_sha256`` is the features' without the slide's name (:func:`pathology.wsi.features.content_sha256`), empty in sidecars of
    before there was one. ``warnings`` say what of the slide was left out, or read otherwise than its file says. ``outline_origin`` is
    the level-0 px x, y that the outline, and QuPath, call 0, 0. ``tissue`` says whether the mask was found or is the person's own, whose
    sha256 is ``mask_sha256``; ``tissue_fraction`` is of the slide's area, and ``tiles_with_ink`` of the tiles show ink, or what may be
    ink as well as stain. ``colours`` are its tiles' (:data:`pathology.contracts.colours.COLOURS`), null where it has none
    and in sidecars of before.
    """

    schema_version: Literal[1] = 1
    slide_id: str
    status: Literal["ok", "empty", "failed"]
    reason: str = ""
    settings_hash: str
    slide_uri: str
    bytes: int
    md5: str = ""
    etag: str = ""
    companion: str = ""
    cohort_mpp: float | None = None
    mpp: float | None = None
    mpp_source: str = ""
    tiles: int | None = None
    failed_tiles: int | None = None
    seconds: float | None = None
    reader: str = ""
    sha256: str = ""
    content_sha256: str = ""
    warnings: tuple[str, ...] = ()
    outline_origin: tuple[int, int] = (0, 0)
    tissue: str = ""
    tissue_fraction: float | None = None
    tiles_with_ink: int | None = None
    colours: tuple[float, float, float, float, float, float] | None = None
    mask_uri: str = ""
    mask_sha256: str = ""

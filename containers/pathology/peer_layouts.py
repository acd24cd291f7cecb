"""What STAMP, CLAM and TRIDENT keep of a slide's tile features: names, types, units and attributes of each, as bytes by path.

Sources, read and not copied: STAMP 2.5.0 (``stamp.modeling.data.get_coords``, ``stamp.preprocessing``), CLAM of April 2025
(docs/README.md, ``extract_features_fp.py``), TRIDENT 0.3.0 (``coords_to_h5``, ``WSI.extract_patch_features``).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import h5py
import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.features import Features

Value = str | int | float | np.ndarray
MAGNIFICATION_MPP = 10.0
"""µm/px times magnification: 40× is 0.25 µm/px, as all three tools reckon."""


def stamp(slide_id: str, features: Features) -> dict[str, bytes]:
    """``<slide_id>.h5``: ``feats`` (N, D) float16 and ``coords`` (N, 2) float32 in µm from the slide's top left corner.

    ``tile_size_um`` and ``unit`` are what STAMP's reader goes by; without them it takes a stride of 224 for 256 µm. Coordinates are the
    grid's own, a multiple of the tile's side: STAMP divides them by the least step between two, and whole px would make that step
    up to a px short, and the map wrong by a tile after some hundred.

    Raises:
        DataError: when the file does not say its scale, or its tiles lie on no grid.
    """
    tile_size, tile_mpp, mpp = _numbers(slide_id, features)
    side = tile_size * tile_mpp
    microns = features.coords * mpp
    on_grid = np.rint(microns / side) * side
    # A tile starts at a whole px of its level, and that at a whole px of level 0: half a px of each at the most.
    if np.abs(on_grid - microns).max() > tile_mpp + mpp:
        raise DataError(f"slide {slide_id}: its tiles lie on no grid of {side:g} µm at {mpp:g} µm/px: extract the slide again")
    attributes: dict[str, Value] = {
        "extractor": _text(slide_id, features, "encoder"),
        "unit": "um",
        "tile_size_um": side,
        "tile_size_px": tile_size,
        "feat_type": "tile",
        **_origin(features),
    }
    arrays = {"coords": on_grid.astype(np.float32), "feats": features.features}
    return {f"{slide_id}.h5": _h5(arrays, {"": attributes})}


def clam(slide_id: str, features: Features) -> dict[str, bytes]:
    """``h5_files/<slide_id>.h5``: ``features`` (N, D) float32, ``coords`` (N, 2) int32 level-0 px; ``pt_files/<slide_id>.pt``, the
    features as a tensor, which is what CLAM trains on.

    ``coords`` has the attributes of CLAM's patches: a patch is ``patch_size`` px of ``patch_level`` 0, rounded to whole px.

    Raises:
        DataError: when the file does not say its scale.
    """
    _numbers(slide_id, features)
    size = np.array([_whole(slide_id, features, "level0_width"), _whole(slide_id, features, "level0_height")], np.int64)
    attributes: dict[str, Value] = {
        "patch_size": _whole(slide_id, features, "patch_size_level0"),
        "patch_level": 0,
        "downsample": np.ones(2),
        "downsampled_level_dim": size,
        "level_dim": size,
        "name": slide_id,
    }
    arrays = {"features": features.features.astype(np.float32), "coords": features.coords.astype(np.int32)}
    return {
        f"h5_files/{slide_id}.h5": _h5(arrays, {"": _origin(features), "coords": attributes}),
        f"pt_files/{slide_id}.pt": _pt(arrays["features"]),
    }


def trident(slide_id: str, features: Features) -> dict[str, bytes]:
    """``<mag>x_<px>px_0px_overlap/features_<encoder>/<slide_id>.h5``: ``features`` (N, D) float32, ``coords`` (N, 2) int64 level-0 px,
    and ``…/patches/<slide_id>_patches.h5`` with the coordinates alone.

    TRIDENT reckons a tile's side from two magnifications: both are 10 over µm/px and not rounded to a lens, so that 0.2525 µm/px is
    39.6 and a tile of 224 px at 20× has the 444 px that were read, not 448.

    Raises:
        DataError: when the file does not say its scale.
    """
    tile_size, tile_mpp, mpp = _numbers(slide_id, features)
    encoder = _text(slide_id, features, "encoder")
    attributes: dict[str, Value] = {
        "patch_size": tile_size,
        "patch_size_level0": _whole(slide_id, features, "patch_size_level0"),
        "level0_magnification": _magnification(mpp),
        "target_magnification": _magnification(tile_mpp),
        "overlap": 0,
        "name": slide_id,
        "savetodir": "",
        "level0_width": _whole(slide_id, features, "level0_width"),
        "level0_height": _whole(slide_id, features, "level0_height"),
    }
    of_features: dict[str, Value] = {"name": slide_id, "savetodir": "", "encoder": encoder}
    arrays = {"features": features.features.astype(np.float32), "coords": features.coords}
    folder = f"{_magnification(tile_mpp):g}x_{tile_size}px_0px_overlap"
    return {
        f"{folder}/patches/{slide_id}_patches.h5": _h5({"coords": features.coords}, {"coords": attributes}),
        f"{folder}/features_{encoder}/{slide_id}.h5": _h5(
            arrays, {"": _origin(features), "features": of_features, "coords": attributes}
        ),
    }


LAYOUTS: dict[str, Callable[[str, Features], dict[str, bytes]]] = {"clam": clam, "stamp": stamp, "trident": trident}
"""By the tool that reads it."""


def _magnification(mpp: float) -> int | float:
    """10 over µm/px; whole where it is, as TRIDENT has it."""
    exact = MAGNIFICATION_MPP / mpp
    return round(exact) if abs(exact - round(exact)) < 1e-9 else exact


def _numbers(slide_id: str, features: Features) -> tuple[int, float, float]:
    """Side of a tile in px, µm/px of a tile, µm/px of level 0; proven against the side in level-0 px."""
    tile_size = _whole(slide_id, features, "patch_size")
    tile_mpp, mpp, side = (
        _positive(slide_id, holder, name)
        for holder, name in (
            (features.attributes, "tile_mpp"),
            (features.attributes, "mpp"),
            (features.grid, "patch_side_level0"),
        )
    )
    if abs(side * mpp - tile_size * tile_mpp) > 1e-6 * tile_size * tile_mpp:
        raise DataError(
            f"slide {slide_id}: a tile of {side:g} px at {mpp:g} µm/px is not {tile_size} px at {tile_mpp:g}: extract the slide again"
        )
    if features.grid.get("overlap", 0) != 0:
        raise DataError(f"slide {slide_id}: its tiles overlap, which no layout here has: extract the slide again")
    return tile_size, tile_mpp, mpp


def _positive(slide_id: str, holder: Mapping[str, object], name: str) -> float:
    value = holder.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise DataError(f"slide {slide_id}: its feature file has no {name} (an old one?): extract the slide again")
    return float(value)


def _whole(slide_id: str, features: Features, name: str) -> int:
    return int(_positive(slide_id, features.grid, name))


def _text(slide_id: str, features: Features, name: str) -> str:
    value = features.attributes.get(name)
    if not isinstance(value, str) or not value or "/" in value:
        raise DataError(f"slide {slide_id}: its feature file has no {name} (an old one?): extract the slide again")
    return value


def _origin(features: Features) -> dict[str, Value]:
    """Where the features come from, under names that none of the three tools reads as its own."""
    names = ("checkpoint_sha256", "settings_hash", "mpp", "mpp_source", "verified", "remark")
    return {f"pathology_{name}": features.attributes[name] for name in names if name in features.attributes}


def _h5(arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Mapping[str, Value]]) -> bytes:
    """HDF5 whose bytes depend on the content alone; ``attributes`` by dataset, the file's own by an empty name."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v108", "v110")) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False)
        for holder, values in attributes.items():
            for key, value in sorted(values.items()):
                (file[holder] if holder else file).attrs[key] = value
    return buffer.getvalue()


def _pt(features: np.ndarray) -> bytes:
    """The features as ``torch.save`` writes a tensor."""
    try:
        import torch
    except ImportError:
        raise DataError("CLAM reads tensors of torch, which is not installed here: run this where the jobs run") from None
    buffer = io.BytesIO()
    torch.save(torch.from_numpy(np.ascontiguousarray(features)), buffer)
    return buffer.getvalue()

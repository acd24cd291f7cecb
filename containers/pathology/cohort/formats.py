"""What a file's name says of its format: slides that are read, pictures that may be slides, and formats that are not read."""

from __future__ import annotations

from collections.abc import Iterable

SLIDE_SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Pictures of one level. Beside slides they are thumbnails and labels, unless the table lists them."""

SUFFIXES = frozenset(SLIDE_SUFFIXES + PICTURE_SUFFIXES)

NOT_READ = {
    ".dcm": "DICOM",
    ".dicom": "DICOM",
    ".czi": "Zeiss CZI",
    ".zvi": "Zeiss ZVI",
    ".vsi": "Olympus VSI",
    ".oir": "Olympus OIR",
    ".isyntax": "Philips iSyntax",
    ".i2syntax": "Philips iSyntax",
    ".lif": "Leica LIF",
    ".nd2": "Nikon ND2",
    ".vms": "Hamamatsu VMS",
    ".vmu": "Hamamatsu VMU",
    ".ndpis": "Hamamatsu NDPIS",
    ".afi": "Aperio AFI",
    ".qptiff": "Akoya QPTIFF",
    ".mds": "Motic MDS",
    ".mdsx": "Motic MDS",
    ".ims": "Imaris",
    ".zarr": "OME-Zarr",
    ".dzi": "Deep Zoom",
    ".szi": "Deep Zoom",
    ".jp2": "JPEG 2000",
    ".bmp": "BMP",
    ".sdpc": "SDPC",
    ".kfb": "KFB",
}
"""Slides of formats that are not read, by suffix: they are counted, never overlooked."""
DICOM_DIRECTORY = "DICOMDIR"


def file_name(path: str) -> str:
    """The last part of a path of either kind; by hand, since it is asked of every file of a listing many times."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _split(name: str) -> tuple[str, str]:
    """A name's stem, and its extension in lower case with the dot."""
    stem, _, extension = name.rpartition(".")
    return (stem, f".{extension.lower()}") if stem and extension else (name, "")


def suffix_of(name: str) -> str:
    """The extension in lower case."""
    return _split(name)[1]


def strip_slide_suffix(path: str) -> str:
    """The file name, of a path of either kind, without a slide's extension."""
    name = file_name(path)
    stem, suffix = _split(name)
    return stem if suffix in SUFFIXES else name


def is_hidden(name: str) -> bool:
    """macOS leaves ``._name`` beside name, and programs hide what they have not finished."""
    return name.startswith(".")


def is_picture(name: str) -> bool:
    """A PNG or JPEG by its name."""
    return suffix_of(name) in PICTURE_SUFFIXES


def is_slide(name: str) -> bool:
    """A slide or a picture by its name. gdc-client's downloads under way end in .partial or .parcel, which is neither."""
    return suffix_of(name) in SUFFIXES and not is_hidden(name)


def not_read(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Names of slides of formats that are not read, by format, given paths below the slides' folder.

    A DICOM slide is a folder of files and OME-Zarr a folder: each folder counts once. DICOM beside other files counts file by file.
    """
    found: dict[str, set[str]] = {}
    for path in paths:
        name = path.rpartition("/")[2]
        if is_hidden(name):
            continue
        store = container(path)
        if store:
            found.setdefault(NOT_READ[".zarr"], set()).add(store)
        elif name == DICOM_DIRECTORY or suffix_of(name) in (".dcm", ".dicom"):
            folder = path.rpartition("/")[0]
            found.setdefault("DICOM", set()).add(f"{folder}/" if folder else name)
        elif kind := NOT_READ.get(suffix_of(name)):
            found.setdefault(kind, set()).add(name)
    return {kind: tuple(sorted(names)) for kind, names in sorted(found.items())}


def container(path: str) -> str:
    """The OME-Zarr folder that ``path`` lies in, "" where it lies in none."""
    if ".zarr/" not in path.lower():
        return ""
    parts = path.split("/")
    for depth, part in enumerate(parts[:-1], start=1):
        if part.lower().endswith(".zarr"):
            return "/".join(parts[:depth])
    return ""

"""``python -m docs.licences``: the tables in THIRD_PARTY_LICENSES.md, from the images' locks and what their libraries say of
themselves. ``--check`` writes nothing and exits 1 when they are stale.

A licence is that of the installed distribution, whose version has to be the locked one: make setup installs them all. Wheels of
another platform say and hold other things than the images', which are for Linux on x86-64, so elsewhere nothing is written.
"""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from docs.marks import refresh

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "THIRD_PARTY_LICENSES.md"
IMAGES = ("cucim-tiler", "training")
PLATFORM = ("Linux", "x86_64")

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)
UNKNOWN = "see its distribution"
MAX_LENGTH = 60
"""Characters taken of a License field, which may hold a whole licence."""

STATED = {
    "cuda-toolkit": "none stated; it names other distributions and holds no files",
    "nvidia-nvimgcodec-cu13": "NVIDIA Software License Agreement (its licence file; its metadata say Apache License 2.0)",
}
"""What is to be read instead of metadata that say nothing, or other than the distribution's licence file."""

FAMILIES = {
    "AGPL": re.compile(r"AGPL|Affero"),
    "GPL": re.compile(r"(?<![AL])GPL|(?<!Affero )(?<!Lesser )General Public"),
    "LGPL": re.compile(r"LGPL|Lesser General Public"),
    "MPL": re.compile(r"\bMPL|Mozilla Public"),
    "proprietary": re.compile(r"Proprietary|NVIDIA Software License"),
}
GCC = "GPL-3.0-or-later WITH GCC-exception-3.1"
BUNDLED = {
    "FFmpeg": ("LGPL-2.1-or-later", re.compile(r"/lib(?:av(?:codec|format|util)|sw(?:resample|scale))\b")),
    "libgfortran": (GCC, re.compile(r"/libgfortran\b")),
    "libgomp": (GCC, re.compile(r"/libgomp\b")),
    "libquadmath": ("LGPL-2.1-or-later", re.compile(r"/libquadmath\b")),
    "autocommand": ("LGPL-3.0", re.compile(r"/_vendor/autocommand/")),
    "validate-pyproject": ("MPL-2.0", re.compile(r"/_validate_pyproject/")),
    "Mozilla's certificates": ("MPL-2.0", re.compile(r"^botocore/cacert\.pem$")),
}
"""Parts that a wheel holds as files of their own, by their paths: metadata speak of the library alone."""


def pins(image: str) -> dict[str, str]:
    """Version by name of every library of an image."""
    return dict(sorted(PIN.findall((ROOT / "containers" / image / "requirements.txt").read_text(encoding="utf-8"))))


def installed(name: str, version: str) -> Distribution | None:
    """The distribution, if it is here in this version."""
    try:
        dist = distribution(name)
    except PackageNotFoundError:
        return None
    return dist if dist.version == version else None


def licence(dist: Distribution) -> str:
    """The expression, else the classifiers, else the first line of the field."""
    fields = {name: dist.metadata.get_all(name) or [] for name in ("License-Expression", "Classifier", "License")}
    classifiers = [line.rpartition(" :: ")[2] for line in fields["Classifier"] if line.startswith("License ::")]
    field = "".join(fields["License"]).strip().partition("\n")[0]
    return "".join(fields["License-Expression"]) or ", ".join(classifiers) or field[:MAX_LENGTH] or UNKNOWN


def warnings(stated: str, dist: Distribution | None) -> str:
    """Families of copyleft and proprietary licences in what is stated, and the parts under one that the distribution holds."""
    families = [", ".join(family for family, pattern in FAMILIES.items() if pattern.search(stated))]
    paths = [file.as_posix() for file in (dist.files if dist else None) or ()]
    parts = [f"{part} ({its})" for part, (its, pattern) in BUNDLED.items() if any(map(pattern.search, paths))]
    if parts:
        families.append(f"holds {', '.join(parts)}")
    return "; ".join(filter(None, families))


def row(name: str, version: str) -> str:
    """A library's line in the table."""
    dist = installed(name, version)
    stated = STATED.get(name) or (licence(dist) if dist else UNKNOWN)
    return f"| {name} | {version} | {stated} | {warnings(stated, dist)} |\n"


def table(image: str) -> str:
    """The libraries of an image."""
    rows = "".join(row(name, version) for name, version in pins(image).items())
    return f"| Library | Version | Licence | Copyleft or proprietary |\n|---|---|---|---|\n{rows}"


def base(image: str) -> str:
    """The image that it is built on."""
    return f"`{(ROOT / 'containers' / image / 'base.txt').read_text(encoding='utf-8').strip()}`\n"


def main() -> int:
    """Write the page, or check it."""
    if (platform.system(), platform.machine()) != PLATFORM:
        print("the images are for Linux on x86-64, and this is another platform: nothing done", file=sys.stderr)
        return 0 if "--check" in sys.argv else 2
    names = {(name, version) for image in IMAGES for name, version in pins(image).items()}
    missing = sorted(name for name, version in names if installed(name, version) is None)
    if missing:
        print(f"{len(missing)} not installed in the locked version: {', '.join(missing)}", file=sys.stderr)
    bases = {f"base-{image}": base(image) for image in IMAGES}
    tables = {f"licences-{image}": table(image) for image in IMAGES}
    return refresh(PAGE, {**bases, **tables}, "python -m docs.licences")


if __name__ == "__main__":
    sys.exit(main())

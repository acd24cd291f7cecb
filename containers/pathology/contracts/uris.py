"""Placement is a URI: ``s3://bucket/key`` or ``efs://file-system-id/path``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator

from pathology.contracts.errors import RequestError

_URI = re.compile(r"(?P<scheme>s3|efs)://(?P<root>[A-Za-z0-9][A-Za-z0-9.-]{1,62})(?:/(?P<path>.*))?\Z", re.DOTALL)


@dataclass(frozen=True)
class Uri:
    """A parsed URI. ``root`` is the bucket or the file-system id; ``path`` has no leading or trailing slash."""

    scheme: Literal["s3", "efs"]
    root: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Parse ``s3://bucket/key`` or ``efs://file-system-id/path``.

        Raises:
            RequestError: for any other scheme, a missing bucket, or a path that climbs with ``..``.
        """
        match = _URI.match(text)
        if match is None:
            raise RequestError(f"{text!r} is not a valid URI: write s3://bucket/key or efs://file-system-id/path")
        path = (match["path"] or "").strip("/")
        if ".." in PurePosixPath(path).parts:
            raise RequestError(f"{text!r} climbs out of its root with '..': write the path out")
        scheme: Literal["s3", "efs"] = "s3" if match["scheme"] == "s3" else "efs"
        return cls(scheme, match["root"], path)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.root}/{self.path}" if self.path else f"{self.scheme}://{self.root}"

    def __truediv__(self, below: str) -> Uri:
        return Uri.parse(f"{self}/{below}")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> Uri:
        """The folder that it lies in."""
        return Uri(self.scheme, self.root, self.path.rpartition("/")[0])

    def under(self, folder: Path) -> Path:
        """Where this URI lies when buckets and file systems are folders: ``folder/<scheme>/<root>/<path>``."""
        return folder / self.scheme / self.root / self.path


def _checked(text: str) -> str:
    try:
        return str(Uri.parse(text))
    except RequestError as error:
        raise ValueError(str(error)) from None


UriText = Annotated[str, AfterValidator(_checked)]
"""A string field that must be a URI; kept as text, without a trailing slash."""


def _in_s3(text: str) -> str:
    if not text.startswith("s3://"):
        raise ValueError(f"{text} is on EFS, which a Processing job cannot mount: give its copy in S3")
    return text


S3UriText = Annotated[UriText, AfterValidator(_in_s3)]
"""A :data:`UriText` that a job reads by itself."""

"""One module that turns a URI, or another step's output, into a Processing input or a Training channel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from pathology.contracts.errors import RequestError
from pathology.contracts.uris import Uri

from steps.shapes import Channel, DataSource, ProcessingInput

EFS_ROOTS = ("models", "datasets", "features")
"""The folders that the stack makes on the file system; a mount fails when its folder does not exist yet."""


@dataclass(frozen=True)
class Mount:
    """A folder on EFS; ``access`` is rw for the one job that fills it."""

    uri: str
    access: Literal["ro", "rw"] = "ro"

    @property
    def root(self) -> Uri:
        """The folder that is mounted: the root that the stack made, above the folder wanted.

        Raises:
            RequestError: for S3, or a path below none of the roots.
        """
        uri = Uri.parse(self.uri)
        if uri.scheme != "efs":
            raise RequestError(f"{uri}: only efs:// can be mounted")
        top = PurePosixPath(uri.path).parts[:1]
        if not top or top[0] not in EFS_ROOTS:
            raise RequestError(f"{uri}: put it below one of the file system's folders {', '.join('/' + r for r in EFS_ROOTS)}")
        return Uri("efs", uri.root, top[0])

    def check_whole(self) -> None:
        """Raises RequestError unless this is one of the roots itself, where jobs name what lies below."""
        if Uri.parse(self.uri) != self.root:
            raise RequestError(f"{self.uri}: give the file system's own folder, {self.root}; jobs make what lies below")


Source = Any
"""A URI as text, a pipeline variable that will be one, or a :class:`Mount`."""


def processing_input(step: str, name: str, source: Source) -> ProcessingInput:
    """A ProcessingInput at ``/opt/ml/processing/input/<name>``.

    Raises:
        RequestError: for EFS, which a Processing job cannot mount.
    """
    uri = source.uri if isinstance(source, Mount) else source
    if _default(uri).startswith("efs://"):
        raise RequestError(
            f"{step}: input {name!r} is {_default(uri)}, and a Processing job cannot mount EFS; "
            "give its copy in S3, or let the step run as a Training job (extract.run_as: training)"
        )
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": source,
            "LocalPath": f"/opt/ml/processing/input/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def channel(name: str, source: Source, *, stream: bool = False) -> Channel:
    """A Training channel: a file system's folder for a Mount, else S3 (``stream``: read as needed, not copied first)."""
    if isinstance(source, Mount):
        root = source.root
        data_source: DataSource = {
            "FileSystemDataSource": {
                "FileSystemId": root.root,
                "FileSystemType": "EFS",
                "DirectoryPath": f"/{root.path}",
                "FileSystemAccessMode": source.access,
            }
        }
        return {"ChannelName": name, "DataSource": data_source}
    if _default(source).startswith("efs://"):
        raise RequestError(f"channel {name!r}: {_default(source)} has to be mounted as a whole folder of the file system")
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source, "S3DataDistributionType": "FullyReplicated"}},
        "InputMode": "FastFile" if stream else "File",
    }


def _default(source: Source) -> str:
    """The text of a source, or a parameter's default; empty for what only an execution knows."""
    return str(source if isinstance(source, str) else getattr(source, "default_value", None) or "")

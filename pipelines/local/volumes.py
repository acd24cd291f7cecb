"""A job's data on this machine: inputs appear as links to stored objects, outputs are copied into the store.

Buckets and file systems are folders (``Uri.under``). Inputs are real folders of symbolic links, so that gigabytes are never
copied; jobs read their inputs and write their outputs, and nothing here guards against one that writes through a link.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path

from pathology.contracts.errors import DataError
from pathology.contracts.storage import FolderStore, temp_sibling
from pathology.contracts.uris import Uri

from pipelines.local.own import is_own
from steps.placement import EFS_ROOTS
from steps.shapes import FileSystemSource, S3Source


def fill_from_s3(store: FolderStore, source: S3Source, folder: Path, rank: int, hosts: int) -> None:
    """Show every object whose key begins with the prefix, as the service does: ``liu.xlsx`` brings ``liu.xlsx.bak``, and
    ``models/h-optimus-0`` what lies below ``models/h-optimus-0-mini``. ShardedByS3Key gives every host its share.

    Raises:
        DataError: when nothing is there.
    """
    uri, key = Uri.parse(source["S3Uri"]), source["S3Uri"].removeprefix("s3://").partition("/")[2]
    entries = [entry for entry in store.list(uri if key.endswith("/") else uri.parent) if entry.uri.path.startswith(key)]
    if not entries:
        raise DataError(f"nothing lies at {uri} any more" if is_own(uri) else f"no S3 objects found under {uri}")
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        entries = entries[rank::hosts]
    folder.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        link = folder / _below(key, entry.uri.path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(entry.uri.under(store.root).absolute())


def _below(prefix: str, key: str) -> str:
    """Where an object appears: by its key below the prefix, where that is a folder, else below the folder that the prefix lies in."""
    folder = prefix if key.startswith(prefix.rstrip("/") + "/") else prefix.rpartition("/")[0]
    return key[len(folder) :].lstrip("/")


def mount(store: FolderStore, source: FileSystemSource, folder: Path) -> None:
    """Show a folder of a file system at ``folder``. The stack's own folders are made as the stack makes them.

    Raises:
        DataError: for any other folder that is not there: a mount fails on AWS too.
    """
    uri = Uri("efs", source["FileSystemId"], source["DirectoryPath"].strip("/"))
    path = uri.under(store.root)
    if uri.path in EFS_ROOTS:
        path.mkdir(parents=True, exist_ok=True)
    if not path.is_dir():
        raise DataError(f"{uri}: the file system has no such folder, so that it cannot be mounted")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(path.absolute(), target_is_directory=True)


def upload_folder(store: FolderStore, folder: Path, uri: Uri) -> None:
    """Copy every file below ``folder`` into the store."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_file():
            store.upload(path, uri / path.relative_to(folder).as_posix())


def pack(folders: list[Path], target: Path) -> bool:
    """Write what the folders hold as one tar.gz, the same bytes for the same files; whether there was any.

    Of two hosts that wrote the same name the later one's counts.
    """
    files = {path.relative_to(folder).as_posix(): path for folder in folders for path in folder.rglob("*") if path.is_file()}
    if not files:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = temp_sibling(target)
    try:
        with (
            beside.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name, path in sorted(files.items()):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as file:
                    tar.addfile(entry, file)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return True


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar.gz, nothing of it outside of the folder.

    Raises:
        DataError: when it is none, or holds what would lie elsewhere.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{archive.name} cannot be unpacked: {error}") from None

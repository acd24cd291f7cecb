"""cohort.csv → one feature file and sidecar per slide; hosts claim slides, largest first, until none is left."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.features import Sidecar
from pathology.contracts.log_lines import slide_line
from pathology.contracts.settings import ExtractFeatures
from pathology.contracts.storage import Store
from pathology.contracts.tables import CohortRow, read_cohort
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.models.encoder import find_card
from pathology.storage import open_store
from pathology.wsi.places import Places

if TYPE_CHECKING:
    from pathology.models.encoder import Encoder

TERMINATED = 128 + signal.SIGTERM


class Extraction:
    """One host's share of the cohort."""

    def __init__(self, job: Job, settings: ExtractFeatures, store: Store) -> None:
        folder, card = find_card(job.input("models"))
        if settings.tile_size != card.pixels:
            raise RequestError(f"tile-size {settings.tile_size}: encoder {card.name} takes {card.pixels} px: set it so")
        self.job, self.settings, self.store = job, settings, store
        self.places = Places.of(settings.features, settings.hash(card.name, card.sha256))
        # Loaded once there is a slide to extract: a host that finds everything finished never imports torch.
        self.encoder: Callable[[], Encoder] = cache(lambda: self._load(folder))

    def _load(self, folder: Path) -> Encoder:
        from pathology.wsi.readers import load_cucim

        load_cucim()  # before torch, or never

        import torch

        from pathology.models.encoder import load_encoder
        from pathology.wsi.tiles import THREADS

        if torch.cuda.is_available():
            return load_encoder(folder, "cuda", self.settings.precision)
        # Readers keep their cores: threads of torch that wait for one another spin, and spinning beside readers costs 3×.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - THREADS))
        return load_encoder(folder, "cpu", self.settings.precision)

    def claim(self, row: CohortRow) -> bool:
        """Take the slide for this host; a claim of its own is left from before a restart and is taken up again."""
        uri = self.places.claim(self.job.name, row.slide_id)
        host = self.job.host.encode()
        return self.store.create(uri, host) or self.store.read(uri) == host

    def finished(self, row: CohortRow) -> bool:
        """Whether the slide's sidecar and file say that there is nothing to do. A slide that failed is tried again."""
        try:
            sidecar = self.places.read_sidecar(self.store, row.slide_id)
        except DataError:
            return False  # an unreadable sidecar is overwritten
        if sidecar is None or not self.places.speaks_of(sidecar, row):
            return False
        return sidecar.status == "empty" or (sidecar.status == "ok" and not self.places.holds(self.store, sidecar))

    def extract(self, row: CohortRow) -> Sidecar:
        """Extract one slide: its payload first, its sidecar last."""
        begun = time.monotonic()
        said = {
            "slide_id": row.slide_id,
            "settings_hash": self.places.settings_hash,
            "slide_uri": row.slide_uri,
            "bytes": row.bytes,
            "md5": row.md5,
            "cohort_mpp": row.mpp,
        }
        try:
            said |= self._features(row)
        except DataError as error:
            said |= {"status": "failed", "reason": " ".join(str(error).split())}
        sidecar = Sidecar.model_validate({**said, "seconds": round(time.monotonic() - begun, 3)})
        self.store.write(self.places.sidecar(row.slide_id), sidecar.to_json())
        return sidecar

    def _features(self, row: CohortRow) -> dict[str, object]:
        from pathology.wsi.extraction import extract_slide

        target = self.job.scratch / f"{self.job.host}-{row.slide_id}.h5"
        try:
            with self.local(row) as path:
                found = extract_slide(
                    path,
                    row.slide_id,
                    target,
                    self.settings,
                    self.encoder(),
                    cohort_mpp=row.mpp,
                    batch_size=self.settings.batch_size,
                )
            if found.sha256:
                self.store.upload(target, self.places.features(row.slide_id))
        finally:
            target.unlink(missing_ok=True)
        return {
            "status": "ok" if found.sha256 else "empty",
            "reason": found.reason,
            "mpp": found.scale.mpp,
            "mpp_source": found.scale.source,
            "tiles": found.tiles,
            "failed_tiles": found.failed_tiles,
            "reader": found.reader,
            "sha256": found.sha256,
        }

    @contextmanager
    def local(self, row: CohortRow) -> Iterator[Path]:
        """The slide as a file: on the ``slides`` channel's mount, or downloaded and deleted afterwards.

        Raises:
            DataError: when it is not there, or is not the one that the cohort names.
        """
        uri = Uri.parse(row.slide_uri)
        if uri.scheme == "efs" and self.job.has_input("slides"):
            # The channel mounts the first folder of the file system: efs://id/datasets/x.svs is <slides>/x.svs.
            path = self.job.input("slides").joinpath(*PurePosixPath(uri.path).parts[1:])
            check_slide(path, row)
            yield path
            return
        path = self.job.scratch / f"{self.job.host}-{row.slide_id}{PurePosixPath(uri.path).suffix}"
        try:
            self.store.download(uri, path)
            check_slide(path, row)
            yield path
        finally:
            path.unlink(missing_ok=True)


def check_slide(path: Path, row: CohortRow) -> None:
    """Hold a slide's file against the cohort's size and, where it has one, md5.

    Raises:
        DataError: when it is missing, or another.
    """
    if not path.is_file():
        raise DataError(f"{row.slide_uri}: there is no such slide")
    size = path.stat().st_size
    if row.bytes and size != row.bytes:
        raise DataError(f"its file has {size} bytes and the cohort says {row.bytes}: it changed, or is not whole")
    if row.md5:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if digest != row.md5:
            raise DataError(f"its md5 is {digest} and the cohort says {row.md5}: it changed, or is damaged")


def _terminate(number: int, frame: object) -> None:
    """Leave through every ``finally``: what is in scratch goes, what is claimed stays this host's for a restart."""
    print("stopped: finished slides are kept, the one in hand starts again", flush=True)
    sys.exit(TERMINATED)


def main(job: Job) -> None:
    """Claim and extract slides until none is left."""
    signal.signal(signal.SIGTERM, _terminate)
    settings = job.hyperparameters(ExtractFeatures)
    rows = read_cohort(job.file("cohort", ".csv"))
    work = Extraction(job, settings, open_store())
    begun = time.monotonic()
    done: list[Sidecar] = []
    skipped = 0
    for row in sorted(rows, key=lambda row: (-row.bytes, row.slide_id)):
        if not work.claim(row):
            continue
        if work.finished(row):
            skipped += 1
            continue
        print(slide_line(len(done) + 1, row.slide_id))
        done.append(work.extract(row))
        if done[-1].status != "ok":
            print(f"{row.slide_id} {done[-1].status}: {done[-1].reason}")
    seconds = time.monotonic() - begun
    tiles = sum(sidecar.tiles or 0 for sidecar in done)
    failed = sum(sidecar.status == "failed" for sidecar in done)
    print(
        f"{job.host}: {len(done)} slides extracted ({failed} failed), {skipped} finished before, "
        f"{tiles} tiles in {seconds:.1f} s ({tiles / max(seconds, 1e-9):.0f} tiles/s)"
    )


if __name__ == "__main__":
    run(main)
